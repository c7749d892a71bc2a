"""Pictures sent over HTTP: in JSON of both protocols, as a body, in a form, and what is wrong with them."""

from __future__ import annotations

import json
from base64 import b64encode
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from doors import Answer, Shop
from onnxlet.dataplane.lambda_events import handle
from onnxlet.steps.dicom.options import Dicom
from onnxlet.store import Store
from pictures import BRIGHT, DARK, LABELS, picture, publish_films, written


@pytest.fixture
def shop(store: Store, tmp_path: Path) -> Shop:
    """A store with a model that tells bright pictures from dark ones."""
    shop = Shop(store, tmp_path)
    publish_films(shop)
    return shop


def b64(data: bytes) -> dict[str, str]:
    return {"b64": b64encode(data).decode()}


def labels(answer: Answer) -> list[str]:
    assert answer.status == 200, answer.body
    return [each["label"] for each in json.loads(answer.body)["predictions"]]


def said(answer: Answer, status: int = 400) -> str:
    assert answer.status == status, answer.body
    error: str = json.loads(answer.body)["error"]
    return error


def form(*parts: tuple[str, bytes], boundary: str = "frontier") -> bytes:
    """A form with a file in each part, `(type, content)`."""
    lines = [
        f'--{boundary}\r\nContent-Disposition: form-data; name="image"; filename="a"\r\n'.encode()
        + (f"Content-Type: {kind}\r\n".encode() if kind else b"")
        + b"\r\n"
        + content
        + b"\r\n"
        for kind, content in parts
    ]
    return b"".join(lines) + f"--{boundary}--\r\n".encode()


FORM = "multipart/form-data; boundary=frontier"


@pytest.mark.parametrize(
    "body",
    [
        {"instances": [b64(DARK), b64(BRIGHT)]},
        {"instances": [{"image_bytes": b64(DARK)}, {"image_bytes": b64(BRIGHT)}]},
        {"signature_name": "images", "instances": [b64(DARK), b64(BRIGHT)]},
    ],
)
def test_version_1_takes_pictures_in_base64(shop: Shop, body: Any) -> None:  # noqa: ANN401 - JSON
    for text in (json.dumps(body), json.dumps(body, indent=1)):
        assert labels(shop.predict("films", text)) == ["dark", "bright"]
    assert [each["label"] for each in shop.dataplane.invoke({"model": "films", **body})["predictions"]] == [*LABELS]


@pytest.mark.parametrize("inputs", [[b64(DARK), b64(BRIGHT)], {"image_bytes": [b64(DARK), b64(BRIGHT)]}])
def test_version_1_takes_them_as_inputs_too(shop: Shop, inputs: Any) -> None:  # noqa: ANN401 - JSON
    answer = shop.predict("films", json.dumps({"inputs": inputs}))
    assert json.loads(answer.body)["outputs"]["label"] == ["dark", "bright"]


def test_version_2_takes_pictures_as_bytes_in_base64(shop: Shop) -> None:
    sent = {
        "name": "image_bytes",
        "datatype": "BYTES",
        "shape": [2],
        "parameters": {"content_type": "base64"},
        "data": [b64encode(BRIGHT).decode(), b64encode(DARK).decode()],
    }
    answer = shop.send("POST", "/v2/models/films/infer", json.dumps({"inputs": [sent]}))
    assert answer.status == 200, answer.body
    told = {output["name"]: output["data"] for output in json.loads(answer.body)["outputs"]}
    assert told["label"] == ["bright", "dark"]


def test_a_picture_is_a_body_by_itself(shop: Shop) -> None:
    assert labels(shop.predict("films", BRIGHT, content_type="image/jpeg")) == ["bright"]
    png = written(picture(), "PNG")
    assert labels(shop.predict("films", png, content_type="Image/PNG; charset=binary")) == labels(
        shop.predict("films", json.dumps({"instances": [b64(png)]}))
    )


def test_a_form_holds_several_pictures(shop: Shop) -> None:
    body = form(("image/jpeg", BRIGHT), ("", DARK), ("application/octet-stream", BRIGHT))
    assert labels(shop.predict("films", b"preamble\r\n" + body, content_type=FORM)) == ["bright", "dark", "bright"]
    quoted = 'Multipart/Form-Data; boundary="frontier"'
    assert labels(shop.predict("films", form(("image/jpeg", DARK)), content_type=quoted)) == ["dark"]


def test_dicom_comes_through_the_same_doors_where_the_version_takes_it(store: Store, tmp_path: Path) -> None:
    pytest.importorskip("pydicom")
    from dicom_files import dicom_file

    shop = Shop(store, tmp_path)
    publish_films(shop, Dicom())
    dark, bright = (dicom_file(np.full((30, 40), level, np.uint16), 12) for level in (40, 170))

    assert labels(shop.predict("films", bright, content_type="application/dicom")) == ["bright"]
    body = form(("application/dicom", dark), ("image/jpeg", BRIGHT), ("", bright))
    assert labels(shop.predict("films", body, content_type=FORM)) == ["dark", "bright", "bright"]
    assert labels(shop.predict("films", json.dumps({"instances": [b64(dark)]}))) == ["dark"]
    assert "is said to be 'application/dicom', and is JPEG" in said(
        shop.predict("films", BRIGHT, content_type="application/dicom")
    )


def test_an_api_gateway_brings_a_picture_in_base64(shop: Shop) -> None:
    path = "/v1/models/films:predict"
    event = {
        "version": "2.0",
        "rawPath": path,
        "rawQueryString": "",
        "headers": {"content-type": "image/jpeg"},
        "requestContext": {"http": {"method": "POST", "path": path}, "stage": "$default"},
        "body": b64encode(BRIGHT).decode(),
        "isBase64Encoded": True,
    }
    answer = handle(shop.dataplane, event, None)
    assert json.loads(answer["body"])["predictions"][0]["label"] == "bright"


def test_who_has_the_tensor_sends_that_instead(shop: Shop) -> None:
    pixels = np.full((2, 3, 8, 8), 0.9, np.float32)
    assert labels(shop.predict("films", json.dumps({"instances": pixels.tolist()}))) == ["bright", "bright"]
    sent = {"name": "pixels", "datatype": "FP32", "shape": [2, 3, 8, 8], "data": pixels.ravel().tolist()}
    answer = shop.send("POST", "/v2/models/films/infer", json.dumps({"inputs": [sent]}))
    assert answer.status == 200, answer.body


def test_metadata_tell_of_pictures(shop: Shop) -> None:
    answer = json.loads(shop.send("GET", "/v1/models/films/metadata").body)
    signatures = answer["metadata"]["signature_def"]["signature_def"]
    assert signatures["images"]["inputs"]["image_bytes"]["dtype"] == "DT_STRING"
    assert list(signatures["serving_default"]["inputs"]) == ["pixels"]


@pytest.mark.parametrize(
    ("body", "content_type", "words"),
    [
        (BRIGHT, "image/png", "said to be 'image/png', and is JPEG"),
        (b"GIF89a", "image/gif", "'image/gif', which is not read: send JPEG, PNG, WebP or TIFF"),
        (b"hello", "image/jpeg", "and is no picture that is known"),
        (BRIGHT[:-200], "image/jpeg", "picture 0 is broken or cut off"),
        (b"", "image/jpeg", "no picture that is known"),
        (form(("image/jpeg", BRIGHT), ("image/png", BRIGHT)), FORM, "part 1 of the form is said to be 'image/png'"),
        (form(("", b"a field")), FORM, "picture 0 is no JPEG"),
        (form(("image/jpeg", BRIGHT))[:-20], FORM, "its last boundary is missing"),
        (form(), FORM, "there is no picture"),
        (b"--frontier\r\nno content\r\n--frontier--", FORM, "part 0 of the form has no content"),
        (form(("image/jpeg", BRIGHT)), "multipart/form-data", "names no boundary"),
        (b"--frontier\r\n\r\n" * 300, FORM, "more than 256 parts"),
    ],
)
def test_what_is_wrong_with_a_body_is_said(shop: Shop, body: bytes, content_type: str, words: str) -> None:
    assert words in said(shop.predict("films", body, content_type=content_type))


@pytest.mark.parametrize(
    ("instances", "words"),
    [
        ([{"b64": "no base64!"}], "picture 0 is not base64"),
        ([b64(BRIGHT), b64(b"hello")], "picture 1 is no JPEG"),
        ([b64(BRIGHT), 7], 'instances[1] must be a string or {"b64": …}, not an integer'),
        ([{"b64": 7}], "has 'b64', which the model does not know"),
        ([{"image_bytes": {"b64": 7}}], 'must have one member, "b64", a string'),
        ([{"image_bytes": [b64(BRIGHT)]}], "takes shape [-1], not [1, 1]"),
    ],
)
def test_what_is_wrong_with_instances_is_said(shop: Shop, instances: Any, words: str) -> None:  # noqa: ANN401 - JSON
    assert words in said(shop.predict("films", json.dumps({"instances": instances})))


def test_a_large_picture_in_json_is_read(shop: Shop) -> None:
    random = np.random.default_rng(0).integers(0, 256, (900, 900, 3), dtype=np.uint8)
    import PIL.Image

    data = written(PIL.Image.fromarray(random))
    assert len(data) > 2_000_000
    assert len(labels(shop.predict("films", json.dumps({"instances": [b64(data)]})))) == 1


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_whatever_form_is_sent_it_is_answered_or_refused(shop: Shop, data: st.DataObject) -> None:
    body = bytearray(form(("image/jpeg", DARK[:300]), ("image/png", b"\x89PNG\r\n\x1a\n\r\n\r\n--frontier")))
    for _ in range(data.draw(st.integers(0, 6))):
        at = data.draw(st.integers(0, len(body) - 1))
        body[at : at + data.draw(st.integers(0, 40))] = data.draw(st.binary(max_size=6))
        if not body:
            break
    answer = shop.predict(
        "films", bytes(body), content_type=data.draw(st.sampled_from([FORM, FORM.upper(), "image/webp"]))
    )
    assert answer.status in (200, 400)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(parameters=st.text(max_size=40) | st.from_regex(r"boundary\*?[01]?\*?=(utf-8|x)?'?'?[ -~]{0,9}", fullmatch=True))
def test_whatever_a_form_says_of_itself_it_is_answered_or_refused(shop: Shop, parameters: str) -> None:
    answer = shop.predict("films", form(("image/jpeg", DARK)), content_type=f"multipart/form-data; {parameters}")
    assert answer.status in (200, 400)


def test_a_model_of_tensors_takes_no_picture(shop: Shop) -> None:
    shop.publish_echo("echo", "FP32", -1, 2)
    assert said(shop.predict("echo", BRIGHT, content_type="image/jpeg"))
