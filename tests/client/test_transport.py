"""HTTP as it goes wrong: busy servers, broken connections, slow answers, refusals; each played by a real server."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from itertools import chain, repeat

import pytest

import onnxlet
from onnxlet import errors
from onnxlet.client.transport import BACKOFF, MAX_BACKOFF, backoff
from scripted import METADATA, Answer, Reply, Reset, says, scripted

pytestmark = pytest.mark.slow

MODELS = says({"models": ["diagnosis"]})


def in_turn(*replies: Reply | Reset) -> Answer:
    """Each of the replies once, and the last of them ever after."""
    turn: Iterator[Reply | Reset] = chain(replies, repeat(replies[-1]))
    return lambda _: next(turn)


def predicting(*replies: Reply | Reset) -> Answer:
    """The same for predictions, with metadata that is always there."""
    turn = in_turn(*replies)
    return lambda request: METADATA if request.path.endswith("/metadata") else turn(request)


@pytest.mark.parametrize("trouble", [Reply(429), Reply(503), Reset()], ids=["429", "503", "reset"])
def test_what_is_busy_or_cut_off_is_asked_again(trouble: Reply | Reset) -> None:
    with scripted(in_turn(trouble, trouble, MODELS)) as server:
        assert onnxlet.connect(server.url).models() == ["diagnosis"]
    assert server.asked == ["GET /registry/models"] * 3


@pytest.mark.parametrize("trouble", [Reply(429), Reply(503), Reset()], ids=["429", "503", "reset"])
def test_so_are_predictions(trouble: Reply | Reset) -> None:
    with scripted(predicting(trouble, says({"outputs": [2.0]}, X_Onnxlet_Model_Version="3"))) as server:
        predictions = onnxlet.connect(server.url).predict("sum", [1.0])
    assert (predictions["y"].tolist(), predictions.version) == ([2.0], 3)
    assert server.asked == ["GET /v1/models/sum/metadata"] + 2 * ["POST /v1/models/sum:predict"]


def test_a_server_that_stays_busy_is_given_up_with_what_it_says() -> None:
    with (
        scripted(in_turn(says({"message": "Too Many Requests"}, 429, Apigw_Requestid="abc="))) as server,
        pytest.raises(errors.UnavailableError, match="answered 429: Too Many Requests") as raised,
    ):
        onnxlet.connect(server.url, retries=2).models()
    assert len(server.received) == 3
    assert raised.value.context == {"status": 429, "request_id": "abc="}


def seconds(wait: float) -> str:
    return str(int(wait))


def date(wait: float) -> str:
    # whole seconds, so the next one is meant
    return format_datetime(datetime.now(UTC) + timedelta(seconds=wait + 1), usegmt=True)


@pytest.mark.parametrize("said", [seconds, date])
def test_it_waits_as_long_as_the_server_asks(said: Callable[[float], str]) -> None:
    with scripted(lambda _: MODELS if len(server.received) > 1 else says({}, 503, Retry_After=said(1))) as server:
        began = time.monotonic()
        onnxlet.connect(server.url).models()
        assert 1 <= time.monotonic() - began < 10


def test_a_server_that_asks_for_too_long_a_wait_is_not_waited_for() -> None:
    with scripted(in_turn(says({}, 503, Retry_After="3600"))) as server:
        began = time.monotonic()
        with pytest.raises(errors.UnavailableError) as raised:
            onnxlet.connect(server.url).models()
        assert time.monotonic() - began < 5
    assert len(server.received) == 1
    assert raised.value.context["retry_after"] == 3600
    assert raised.value.detail.endswith("it asks to come back in 3600 s")


def test_a_retry_after_that_means_nothing_is_passed_over() -> None:
    with scripted(in_turn(says({}, 503, Retry_After="soon"), MODELS)) as server:
        assert onnxlet.connect(server.url).models() == ["diagnosis"]


def test_waits_grow_up_to_a_bound_and_differ() -> None:
    waits = [list(backoff(8)) for _ in range(200)]
    for attempt, attempts in enumerate(zip(*waits, strict=True)):
        bound = min(MAX_BACKOFF, BACKOFF * 2**attempt)
        assert 0 <= min(attempts) < bound / 4
        assert bound * 3 / 4 < max(attempts) <= bound


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 413, 422, 500, 502, 504])
def test_other_refusals_are_not_asked_again(status: int) -> None:
    with scripted(in_turn(Reply(status))) as server, pytest.raises(errors.OnnxletError):
        onnxlet.connect(server.url).models()
    assert len(server.received) == 1


def test_an_answer_that_breaks_off_in_the_middle_is_not_asked_for_again() -> None:
    with (
        scripted(in_turn(Reply(body=b'{"models": []}', cut=5))) as server,
        pytest.raises(errors.UnavailableError, match="failed"),
    ):
        onnxlet.connect(server.url).models()
    assert len(server.received) == 1


def test_a_slow_answer_is_not_waited_for_and_not_asked_for_again() -> None:
    with scripted(in_turn(Reply(after=30))) as server:
        began = time.monotonic()
        with pytest.raises(errors.DeadlineExceededError, match=r"within 1 s.*longer timeout"):
            onnxlet.connect(server.url, timeout=1).models()
        assert time.monotonic() - began < 10
        assert len(server.received) == 1


def test_a_body_that_stalls_is_not_waited_for_either() -> None:
    stalling = Reply(body=b"{", headers={"Content-Length": "10"})
    with scripted(in_turn(stalling)) as server, pytest.raises(errors.DeadlineExceededError, match="within"):
        onnxlet.connect(server.url, timeout=1).models()
    assert len(server.received) == 1


def test_no_server_at_all_is_told_with_advice() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    client = onnxlet.connect(f"http://127.0.0.1:{port}", retries=1)
    with pytest.raises(errors.UnavailableError, match=r"no server answers at .*refused; check the address"):
        client.models()
    assert not client.ready()


def test_a_host_that_is_not_there_is_told() -> None:
    with pytest.raises(errors.UnavailableError, match=r"no server answers at 'http://no-such-host\.invalid'"):
        onnxlet.connect("http://no-such-host.invalid", retries=0).models()


def test_ready_is_whether_the_store_answers_and_asks_once() -> None:
    with scripted(in_turn(says({"ready": False}, 503, Retry_After="1"), says({"ready": True}))) as server:
        client = onnxlet.connect(server.url)
        assert not client.ready()
        assert client.ready()
    assert server.asked == ["GET /v2/health/ready"] * 2


def test_a_connection_is_kept_for_the_next_request() -> None:
    with scripted(in_turn(MODELS)) as server, onnxlet.connect(server.url) as client:
        for _ in range(5):
            client.models()
    assert len({request.connection for request in server.received}) == 1


def test_a_path_before_the_api_is_kept() -> None:
    with scripted(in_turn(MODELS)) as server:
        onnxlet.connect(server.url + "/prod/").models()
    assert server.asked == ["GET /prod/registry/models"]


def test_a_redirect_is_told_and_not_followed() -> None:
    with (
        scripted(in_turn(says({}, 307, Location="https://elsewhere.example/"))) as server,
        pytest.raises(errors.InvalidInputError, match=r"redirects to 'https://elsewhere\.example/': connect to that"),
    ):
        onnxlet.connect(server.url).models()


@pytest.mark.parametrize("body", [b"<html>hello</html>", b"[]", b'{"models": 3}'])
def test_a_server_of_another_kind_is_told(body: bytes) -> None:
    with (
        scripted(in_turn(Reply(body=body, headers={"Content-Type": "text/html"}))) as server,
        pytest.raises(errors.OnnxletError, match="not what a registry answers"),
    ):
        onnxlet.connect(server.url).models()
    with scripted(in_turn(Reply(body=body))) as server, pytest.raises(errors.OnnxletError, match=r"not JSON|metadata"):
        onnxlet.connect(server.url).metadata("diagnosis")


@pytest.mark.parametrize("body", [b"{}", b'{"outputs": ["a"]}', b'{"outputs": [[1], [2, 3]]}', b"[1]", b"<html>"])
def test_predictions_that_do_not_fit_the_metadata_are_told(body: bytes) -> None:
    with (
        scripted(predicting(Reply(body=body))) as server,
        pytest.raises(errors.OnnxletError, match="does not fit its own metadata"),
    ):
        onnxlet.connect(server.url).predict("sum", [1.0])


@pytest.mark.parametrize(
    "url", ["", "127.0.0.1:8080", "ftp://host", "http://", "http://ana:secret@host", "http://host/?x=1", "http://h/#x"]
)
def test_what_is_no_address_is_told(url: str) -> None:
    with pytest.raises(errors.InvalidInputError, match="address of a server"):
        onnxlet.connect(url)


def test_a_proxy_of_the_environment_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    with scripted(in_turn(MODELS)) as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.url.replace("http://", "http://ana:s%40cret@"))
        monkeypatch.setenv("http_proxy", proxy.url.replace("http://", "http://ana:s%40cret@"))
        assert onnxlet.connect("http://models.example").models() == ["diagnosis"]
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        with scripted(in_turn(says({"models": []}))) as server:
            assert onnxlet.connect(server.url).models() == []
    [request] = proxy.received
    assert request.path == "http://models.example/registry/models"
    assert request.headers["proxy-authorization"] == "Basic YW5hOnNAY3JldA=="


# --- what refusals become ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reply", "kind", "told"),
    [
        (
            says({"type": "/problems/contract-failed", "status": 409, "detail": "recall fell", "model": "m"}, 409),
            errors.ContractFailedError,
            "recall fell",
        ),
        (says({"type": "/problems/model-not-found", "detail": "no model"}, 404), errors.ModelNotFoundError, "no model"),
        (says({"type": "/problems/of-the-future", "detail": "new"}, 409), errors.ConflictError, "new"),
        (says({"type": "about:blank", "detail": "bug"}, 500), errors.InternalError, "bug"),
        (says({"error": "input 'x' takes shape [-1]"}, 400), errors.InvalidInputError, r"takes shape \[-1\]"),
        (says({"message": "Forbidden"}, 403), errors.AccessDeniedError, "Forbidden; check that who asks may"),
        (says({"Message": "Forbidden"}, 401), errors.AccessDeniedError, "auth='iam'"),
        (Reply(502, b"<h1>Bad  Gateway</h1>"), errors.UnavailableError, "<h1>Bad Gateway</h1>"),
        (Reply(504, b""), errors.DeadlineExceededError, "Gateway Timeout"),
        (Reply(418, b"[]"), errors.OnnxletError, r"\[\]"),
        (Reply(599, b""), errors.OnnxletError, "no reason given"),
    ],
)
def test_a_refusal_is_an_error_of_its_kind(reply: Reply, kind: type[errors.OnnxletError], told: str) -> None:
    reply.headers["X-Amzn-RequestId"] = "42"
    with scripted(in_turn(reply)) as server, pytest.raises(kind, match=told) as raised:
        onnxlet.connect(server.url).models()
    assert type(raised.value) is kind
    assert (raised.value.context["status"], raised.value.context["request_id"]) == (reply.status, "42")


def test_the_context_of_a_problem_is_kept() -> None:
    problem = {"type": "/problems/version-in-use", "detail": "in use", "model": "m", "aliases": ["a"], "self": 1}
    with scripted(in_turn(says(problem, 409))) as server, pytest.raises(errors.VersionInUseError) as raised:
        onnxlet.connect(server.url).models()
    assert raised.value.context == {"model": "m", "aliases": ["a"], "self": 1, "status": 409, "request_id": None}
