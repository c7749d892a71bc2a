"""Events of every kind that the predict function takes, in full, and what Lambda returns for them."""

from __future__ import annotations

import base64
import gzip
import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from doors import COLUMNS, FEATURES, Shop
from onnxlet.dataplane.lambda_events import handle, to_event_answer, to_request
from onnxlet.dataplane.messages import Response
from onnxlet.errors import InvalidInputError, InvalidNameError, ModelNotFoundError, OnnxletError
from onnxlet.store import Store

EVENTS = Path(__file__).parents[1] / "events"
PREDICTION = '{"predictions":[{"label":"malignant","probability":1.0,"probabilities":[1.0,0.0]}]}'
ID = "8f507cfc-xmpl-4697-b07a-ac58fc914c95"
HEADERS = {
    "Content-Type": "application/json",
    "X-Onnxlet-Model-Version": "1",
    "X-Onnxlet-Alias": "production",
    "X-Onnxlet-Request-Id": ID,
}


class Context:
    """What Lambda says of an invocation."""

    aws_request_id = ID


CONTEXT = Context()


@pytest.fixture
def shop(store: Store, tmp_path: Path) -> Shop:
    """A store with the classifier that the events ask, loaded."""
    shop = Shop(store, tmp_path)
    shop.publish_diagnosis()
    shop.publish_echo("echo", "FP32", -1)
    for model in ("diagnosis", "echo"):
        shop.predict(model, "{}")
    return shop


def event(name: str, **changes: Any) -> dict[str, Any]:  # noqa: ANN401 - an event's values
    """An event from its file."""
    loaded: dict[str, Any] = json.loads((EVENTS / f"predict-{name}.json").read_text())
    return loaded | changes


def http_event(method: str, path: str, **changes: Any) -> dict[str, Any]:  # noqa: ANN401 - an event's values
    """An HTTP API's event for another request."""
    found = event("http-api", rawPath=path, **changes)
    found["requestContext"]["http"] |= {"method": method, "path": path}
    return found


@pytest.mark.parametrize("name", ["http-api", "http-api-base64", "function-url", "rest-api", "alb"])
def test_every_http_event_is_answered_in_the_same_words(shop: Shop, name: str) -> None:
    expected = {"statusCode": 200, "body": PREDICTION, "isBase64Encoded": False, "headers": HEADERS}
    if name == "alb":
        expected["statusDescription"] = "200 OK"
    assert handle(shop.dataplane, event(name), CONTEXT) == expected


@pytest.mark.parametrize("name", ["http-api-infer", "rest-api-infer"])
def test_an_inference_event_is_answered(shop: Shop, name: str) -> None:
    assert handle(shop.dataplane, event(name), CONTEXT) == {
        "statusCode": 200,
        "body": '{"model_name":"diagnosis","model_version":"1","id":"42","outputs":['
        '{"name":"label","datatype":"BYTES","shape":[1],"data":["malignant"]},'
        '{"name":"probabilities","datatype":"FP32","shape":[1,2],"data":[1.0,0.0]}]}',
        "isBase64Encoded": False,
        "headers": HEADERS,
    }


def test_a_load_balancer_with_multi_value_headers_gets_them_back(shop: Shop) -> None:
    assert handle(shop.dataplane, event("alb-multi"), CONTEXT) == {
        "statusCode": 200,
        "statusDescription": "200 OK",
        "body": PREDICTION,
        "isBase64Encoded": False,
        "multiValueHeaders": {name: [value] for name, value in HEADERS.items()},
    }


def test_readiness_is_answered(shop: Shop) -> None:
    assert handle(shop.dataplane, event("http-api-ready"), CONTEXT) == {
        "statusCode": 200,
        "body": '{"ready":true}',
        "isBase64Encoded": False,
        "headers": {"Content-Type": "application/json", "X-Onnxlet-Request-Id": ID},
    }


def test_a_direct_invocation_returns_the_body_and_the_version(shop: Shop) -> None:
    answer = handle(shop.dataplane, event("direct"), None)
    assert answer == json.loads(PREDICTION) | {"model_version": 1}


def test_a_direct_invocation_takes_a_ref_columns_and_inputs(shop: Shop) -> None:
    row = dict(zip(COLUMNS, event("direct")["instances"][0], strict=True))
    answer = handle(shop.dataplane, {"model": "diagnosis@production", "instances": [row]}, None)
    assert answer["predictions"] == json.loads(PREDICTION)["predictions"]
    assert handle(shop.dataplane, {"model": "echo:1", "inputs": [1.5, float("inf")]}, None) == {
        "outputs": [1.5, float("inf")],
        "model_version": 1,
    }


def test_a_direct_invocation_raises_what_is_wrong(shop: Shop) -> None:
    with pytest.raises(ModelNotFoundError, match="no model named 'nobody'"):
        handle(shop.dataplane, {"model": "nobody", "instances": [[1]]}, None)
    with pytest.raises(InvalidInputError, match=r"instances\[0\]\[1\] must be a number, not a string"):
        handle(shop.dataplane, {"model": "diagnosis", "instances": [[1, "2"]]}, None)
    with pytest.raises(InvalidInputError, match="must have 'instances' or 'inputs'"):
        handle(shop.dataplane, {"model": "diagnosis"}, None)
    with pytest.raises(InvalidInputError, match="must be a string"):
        handle(shop.dataplane, {"model": 7, "instances": []}, None)
    with pytest.raises(InvalidNameError):
        handle(shop.dataplane, {"model": "../etc", "instances": []}, None)


@pytest.mark.parametrize(
    "stranger",
    [{}, {"Records": []}, {"requestContext": None}, {"requestContext": "x"}, {"requestContext": {"connectionId": "x"}}],
)
def test_an_event_of_another_kind_says_what_is_accepted(shop: Shop, stranger: dict[str, Any]) -> None:
    with pytest.raises(InvalidInputError, match="an HTTP request of API Gateway"):
        to_request(stranger)
    if "requestContext" not in stranger:
        with pytest.raises(InvalidInputError, match="or a direct invocation"):
            handle(shop.dataplane, stranger, None)
    else:
        assert handle(shop.dataplane, stranger, None)["statusCode"] == 400


@pytest.mark.parametrize(
    ("stage", "domain", "path", "expected"),
    [
        ("$default", "a.execute-api.eu-west-1.amazonaws.com", "/v1/models/m", "/v1/models/m"),
        ("dev", "a.execute-api.eu-west-1.amazonaws.com", "/dev/v1/models/m", "/v1/models/m"),
        ("v1", "a.execute-api.eu-west-1.amazonaws.com", "/v1/v1/models/m", "/v1/models/m"),
        ("v1", "models.example.com", "/v1/models/m", "/v1/models/m"),
        ("dev", "a.execute-api.eu-west-1.amazonaws.com", "/devil/m", "/devil/m"),
    ],
)
def test_the_stage_is_taken_off_the_path_on_the_apis_own_domain(
    stage: str, domain: str, path: str, expected: str
) -> None:
    found = http_event("GET", path)
    found["requestContext"] |= {"stage": stage, "domainName": domain}
    assert to_request(found).path == expected


def test_paths_are_decoded_once_where_aws_does_not() -> None:
    encoded = "/v1/models/caf%C3%A9%253A"
    assert to_request(event("rest-api", path=encoded)).path == "/v1/models/café%3A"
    assert to_request(event("alb", path=encoded)).path == "/v1/models/café%3A"
    assert to_request(event("function-url", rawPath=encoded)).path == "/v1/models/café%3A"
    # HTTP APIs did it already, whatever the payload
    assert to_request(http_event("GET", "/v1/models/50%41")).path == "/v1/models/50%41"
    assert to_request(event("rest-api", path="/v1/models/50%41", version="1.0")).path == "/v1/models/50%41"


def test_header_names_are_lower_case_and_repeated_ones_joined() -> None:
    assert to_request(http_event("GET", "/", headers={"Host": "x", "X-Thing": "1"})).headers == {
        "host": "x",
        "x-thing": "1",
    }
    found = to_request(event("rest-api", headers=None, multiValueHeaders={"Accept": ["a", "b"]}))
    assert found.headers == {"accept": "a,b"}
    assert to_request(event("rest-api", headers=None, multiValueHeaders=None)).headers == {}


def test_a_body_that_is_not_base64_is_the_callers_fault(shop: Shop) -> None:
    answer = handle(shop.dataplane, event("http-api-base64", body="abc"), None)
    assert answer["statusCode"] == 400
    assert "not base64" in json.loads(answer["body"])["error"]


def test_half_a_surrogate_pair_in_a_body_is_the_callers_fault(shop: Shop) -> None:
    answer = handle(shop.dataplane, event("http-api", body='{"instances": ["\ud800"]}'), None)
    assert answer["statusCode"] == 400


def test_an_event_without_a_body_is_an_empty_one() -> None:
    assert to_request(http_event("GET", "/v1/models/m", body=None)).body == b""


def test_large_answers_are_compressed_where_the_caller_takes_it(shop: Shop) -> None:
    body = json.dumps({"instances": [number / 7 for number in range(8000)]})
    answer = handle(shop.dataplane, http_event("POST", "/v1/models/echo:predict", body=body), None)
    assert answer["isBase64Encoded"]
    assert answer["headers"]["Content-Encoding"] == "gzip"
    assert answer["headers"]["Vary"] == "Accept-Encoding"
    predictions = json.loads(gzip.decompress(base64.b64decode(answer["body"])))["predictions"]
    assert len(predictions) == 8000
    # a REST API without binaryMediaTypes would hand the base64 on as it is
    plain = handle(shop.dataplane, event("rest-api", path="/v1/models/echo:predict", body=body), None)
    assert not plain["isBase64Encoded"]
    assert json.loads(plain["body"])["predictions"] == predictions


@pytest.mark.parametrize("name", ["http-api", "function-url", "alb", "alb-multi"])
@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (b"\x00\x00\x80\x3f", "application/octet-stream"),
        (b"\x00\x00\x00\x00", "application/octet-stream"),
        (b"\x01", "application/octet-stream"),
        (b"\xff\xfe", "application/json"),
        (b"\xff\xfe", "text/plain"),
    ],
)
def test_bytes_that_are_no_text_leave_in_base64_whatever_their_headers(
    name: str, body: bytes, content_type: str
) -> None:
    answer = to_event_answer(Response(200, body, {"Content-Type": content_type}), event(name))
    assert answer["isBase64Encoded"] is True
    assert base64.b64decode(answer["body"]) == body
    assert answer.get("headers") == {"Content-Type": content_type} or name == "alb-multi"


@pytest.mark.parametrize("name", ["http-api", "function-url", "alb", "alb-multi", "rest-api"])
@pytest.mark.parametrize("body", [b"", b"data: 1\r\n\tx\n", "ü 漢".encode(), b'{"a":1}'])
def test_text_leaves_as_it_is_whatever_its_headers(name: str, body: bytes) -> None:
    for content_type in ("application/octet-stream", "text/event-stream"):
        answer = to_event_answer(Response(200, body, {"Content-Type": content_type}), event(name))
        assert (answer["isBase64Encoded"], answer["body"]) == (False, body.decode())


def test_a_rest_api_that_declares_binary_types_gets_compressed_answers(shop: Shop) -> None:
    body = json.dumps({"instances": [number / 7 for number in range(8000)]})
    asked = event("rest-api", path="/v1/models/echo:predict", body=body)
    answer = handle(shop.dataplane, asked, None, rest_binary=True)
    assert (answer["isBase64Encoded"], answer["headers"]["Content-Encoding"]) == (True, "gzip")
    assert len(json.loads(gzip.decompress(base64.b64decode(answer["body"])))["predictions"]) == 8000


def test_the_query_arrives_as_it_was_sent() -> None:
    sent = "a=1&a=2&b=x%20y%26z&%C3%BC=%25&empty="
    decoded = {"a": ["1", "2"], "b": ["x y&z"], "ü": ["%"], "empty": [""]}
    encoded = {"a": ["1", "2"], "b": ["x%20y%26z"], "%C3%BC": ["%25"], "empty": [""]}
    last = {name: values[-1] for name, values in decoded.items()}
    for name, changes in (
        ("http-api", {"rawQueryString": sent}),
        ("function-url", {"rawQueryString": sent}),
        ("rest-api", {"multiValueQueryStringParameters": decoded, "queryStringParameters": last}),
        ("alb-multi", {"multiValueQueryStringParameters": encoded}),
    ):
        assert to_request(event(name, **changes)).query == sent
    single = {name: values[-1] for name, values in encoded.items()}
    assert to_request(event("alb", queryStringParameters=single)).query == sent.removeprefix("a=1&")
    assert to_request(event("rest-api", queryStringParameters=last)).query == sent.removeprefix("a=1&")
    for name in ("http-api", "function-url", "rest-api", "alb", "alb-multi"):
        assert to_request(event(name)).query == ""


def test_a_load_balancer_learns_the_words_of_an_error(shop: Shop) -> None:
    answer = handle(shop.dataplane, event("alb", path="/v1/models/nobody:predict"), None)
    assert answer["statusDescription"] == "404 Not Found"
    assert json.loads(answer["body"]) == {"error": "no model named 'nobody'"}


def test_the_events_ask_with_as_many_features_as_the_model_has() -> None:
    assert len(event("direct")["instances"][0]) == FEATURES


def with_headers(**headers: str) -> dict[str, Any]:
    """A prediction with more headers, in which `_` stands for `-`."""
    found = event("http-api")
    found["headers"] |= {name.replace("_", "-"): value for name, value in headers.items()}
    return found


def test_an_answer_carries_the_callers_request_id(shop: Shop) -> None:
    answer = handle(shop.dataplane, with_headers(x_onnxlet_request_id="visit/2026-11:42"), CONTEXT)
    assert answer["headers"]["X-Onnxlet-Request-Id"] == "visit/2026-11:42"


@pytest.mark.parametrize("unfit", ["", "a b", "x" * 129, "id\r\nSet-Cookie: a=b", "ärztin", '"quoted"'])
def test_an_unfit_request_id_is_replaced_by_lambdas(shop: Shop, unfit: str) -> None:
    answer = handle(shop.dataplane, with_headers(x_onnxlet_request_id=unfit), CONTEXT)
    assert answer["headers"]["X-Onnxlet-Request-Id"] == ID


def test_without_a_context_every_answer_has_an_id_of_its_own(shop: Shop) -> None:
    ids = {handle(shop.dataplane, event("http-api"), None)["headers"]["X-Onnxlet-Request-Id"] for _ in range(3)}
    assert len(ids) == 3
    assert all(len(each) == 32 for each in ids)


def test_a_body_that_is_not_base64_is_refused_under_an_id(shop: Shop) -> None:
    answer = handle(shop.dataplane, event("http-api-base64", body="no base64"), CONTEXT)
    assert (answer["statusCode"], answer["headers"]["X-Onnxlet-Request-Id"]) == (400, ID)


def test_a_trace_context_comes_back_with_the_answer_and_junk_does_not(shop: Shop) -> None:
    trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"  # W3C's own example
    assert handle(shop.dataplane, with_headers(traceparent=trace), CONTEXT)["headers"]["traceparent"] == trace
    for junk in ("", "00-0-0-01", trace.upper(), trace.replace("4bf92f3577b34da6a3ce929d0e0e4736", "0" * 32)):
        assert "traceparent" not in handle(shop.dataplane, with_headers(traceparent=junk), CONTEXT)["headers"]


@pytest.mark.parametrize("junk", [{}, {"requestContext": None}, {"model": "nobody", "instances": [[1]]}], ids=str)
def test_every_end_of_the_handler_is_told(shop: Shop, junk: dict[str, Any]) -> None:
    ends: list[str] = []
    with suppress(OnnxletError):
        handle(shop.dataplane, junk, CONTEXT, answered=lambda: ends.append("end"))
    handle(shop.dataplane, event("http-api"), CONTEXT, answered=lambda: ends.append("end"))
    assert ends == ["end", "end"]
