"""Who asks: tokens as they are, and signatures that AWS's own library finds right from what arrived."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from botocore.auth import SigV4Auth  # type: ignore[import-untyped] # botocore has no types
from botocore.awsrequest import AWSRequest  # type: ignore[import-untyped]
from botocore.credentials import Credentials  # type: ignore[import-untyped]

import onnxlet
from onnxlet.client.auth import Signer
from onnxlet.client.transport import Transport
from onnxlet.errors import AccessDeniedError, InvalidInputError
from scripted import Received, Reply, says, scripted

KEY, SECRET, SESSION = "AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", "a/session+token=="


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An AWS identity in the environment, and none elsewhere."""
    for name, value in {
        "AWS_ACCESS_KEY_ID": KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_SESSION_TOKEN": SESSION,
        "AWS_REGION": "eu-central-1",
        "AWS_CONFIG_FILE": str(tmp_path / "none"),
        "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "none"),
        "AWS_EC2_METADATA_DISABLED": "true",
    }.items():
        monkeypatch.setenv(name, value)


def is_signed(request: Received, secret: str = SECRET) -> bool:
    """Whether the signature is the one that botocore makes of what arrived."""
    given = re.fullmatch(
        r"AWS4-HMAC-SHA256 Credential=(?P<key>[^/]+)/\d{8}/(?P<region>[^/]+)/(?P<service>[^/]+)/aws4_request, "
        r"SignedHeaders=(?P<headers>[^,]+), Signature=(?P<signature>[0-9a-f]{64})",
        request.headers.get("Authorization", ""),
    )
    if given is None or not {"host", "x-amz-date", "x-amz-security-token"} <= set(given["headers"].split(";")):
        return False
    arrived = {name.lower(): value for name, value in request.headers.items()}
    signed = {name: arrived[name] for name in given["headers"].split(";")}
    again = AWSRequest(request.method, f"http://{arrived['host']}{request.path}", signed, request.body)
    again.context["timestamp"] = arrived["x-amz-date"]
    judge = SigV4Auth(Credentials(given["key"], secret, SESSION), given["service"], given["region"])
    canonical = judge.canonical_request(again)
    return bool(judge.signature(judge.string_to_sign(again, canonical), again) == given["signature"])


def gateway(request: Received) -> Reply:
    """An API that lets nobody in without a signature."""
    if not is_signed(request):
        return says({"message": "The request signature we calculated does not match"}, 403)
    return says({"models": ["diagnosis"], "entries": []})


def test_every_kind_of_request_arrives_with_a_signature_that_holds() -> None:
    with scripted(gateway) as server:
        client = onnxlet.connect(server.url + "/prod", auth="iam")
        assert client.models() == ["diagnosis"]
        assert client.history("diagnosis", "candidate-2_b") == []
        with pytest.raises(onnxlet.errors.OnnxletError, match="not TensorFlow"):
            client.metadata("diagnosis@candidate")
        transport = Transport(server.url + "/prod", "iam", timeout=5, retries=0)
        transport.post("/v1/models/diag-nosis.v2:predict", '{"instances": ["ü"]}'.encode(), {"X-A": "1"})
    assert all(map(is_signed, server.received))
    assert [urlsplit(request.path).path for request in server.received] == [
        "/prod/registry/models",
        "/prod/registry/models/diagnosis/history",
        "/prod/v1/models/diagnosis/labels/candidate/metadata",
        "/prod/v1/models/diag-nosis.v2:predict",
    ]


def test_the_witness_sees_what_was_changed_on_the_way() -> None:
    with scripted(gateway) as server:
        onnxlet.connect(server.url, auth="iam").history("diagnosis")
    [request] = server.received
    assert is_signed(request)
    assert not is_signed(request, "another")
    for changed in ({"body": b"{}"}, {"path": "/registry/models"}, {"method": "POST"}):
        assert not is_signed(Received(**{**vars(request), **changed}))
    request.headers["X-Amz-Date"] = "20200101T000000Z"
    assert not is_signed(request)


def test_another_identity_is_refused_with_advice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "not the one")
    with scripted(gateway) as server, pytest.raises(AccessDeniedError, match=r"does not match; check that who asks"):
        onnxlet.connect(server.url, auth="iam").models()


def test_each_try_is_signed_anew() -> None:
    def busy_at_first(_: Received) -> Reply:
        return says({"models": []}) if len(server.received) > 1 else says({}, 503, Retry_After="1")

    with scripted(busy_at_first) as server:
        onnxlet.connect(server.url, auth="iam").models()
    assert all(map(is_signed, server.received))
    assert len({request.headers["X-Amz-Date"] for request in server.received}) == 2


@pytest.mark.parametrize(
    ("host", "scope"),
    [
        ("abc123.execute-api.us-west-2.amazonaws.com", "us-west-2/execute-api"),
        ("abc123.execute-api.cn-north-1.amazonaws.com.cn", "cn-north-1/execute-api"),
        ("vpce-1-a.execute-api.eu-west-1.vpce.amazonaws.com", "eu-west-1/execute-api"),
        ("xyz.lambda-url.ap-south-1.on.aws", "ap-south-1/lambda"),
        ("models.example.org", "eu-central-1/execute-api"),
        ("127.0.0.1", "eu-central-1/execute-api"),
    ],
)
def test_service_and_region_are_the_hosts_or_the_sessions(host: str, scope: str) -> None:
    [authorization] = [
        value for name, value in Signer(host)("GET", f"https://{host}/v2", {}, None).items() if name == "Authorization"
    ]
    assert f"/{scope}/aws4_request" in authorization


def test_a_profile_gives_region_and_credentials(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_REGION"):
        monkeypatch.delenv(name)
    config = tmp_path / "config"
    config.write_text(
        "[profile clinic]\nregion = eu-north-1\naws_access_key_id = AKIDCLINIC\naws_secret_access_key = secret\n"
    )
    monkeypatch.setenv("AWS_CONFIG_FILE", str(config))
    monkeypatch.setenv("AWS_PROFILE", "clinic")
    monkeypatch.delenv("AWS_DEFAULT_REGION", raising=False)
    headers = Signer("models.example.org")("GET", "https://models.example.org/v2", {}, None)
    assert "Credential=AKIDCLINIC/" in headers["Authorization"]
    assert "/eu-north-1/execute-api/" in headers["Authorization"]


def test_no_credentials_and_no_region_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(InvalidInputError, match=r"'models\.example\.org': set AWS_REGION"):
        onnxlet.connect("https://models.example.org", auth="iam")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    with pytest.raises(AccessDeniedError, match="no AWS credentials"):
        onnxlet.connect("https://a.execute-api.eu-west-1.amazonaws.com", auth="iam")


def test_a_token_is_borne() -> None:
    with scripted(lambda _: says({"models": []})) as server:
        onnxlet.connect(server.url, auth="eyJhbGciOiJSUzI1NiJ9.e30.c2ln").models()
        onnxlet.connect(server.url).models()
    assert [request.headers.get("Authorization") for request in server.received] == [
        "Bearer eyJhbGciOiJSUzI1NiJ9.e30.c2ln",
        None,
    ]


@pytest.mark.parametrize("auth", ["", "Bearer abc", "a\nb", "tökén", 3, ("ana", "secret"), True])
def test_what_is_no_way_to_say_who_asks_is_told_without_repeating_it(auth: object) -> None:
    with pytest.raises(InvalidInputError, match="None, 'iam', or a bearer token") as raised:
        onnxlet.connect("http://127.0.0.1", auth=auth)  # type: ignore[arg-type] # that is the point
    assert "abc" not in raised.value.detail


def test_without_botocore_the_extra_is_named() -> None:
    program = (
        "import sys; sys.modules['botocore'] = None; sys.modules['botocore.session'] = None\n"
        "import onnxlet, onnxlet.errors\n"
        "try: onnxlet.connect('https://a.execute-api.eu-west-1.amazonaws.com', auth='iam')\n"
        "except onnxlet.errors.MissingExtraError as error: print(error, error.context)"
    )
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert "pip install 'onnxlet[client]'" in said
    assert "'extra': 'client'" in said


def test_nobody_needs_botocore_without_signatures() -> None:
    program = (
        "import sys, onnxlet; onnxlet.connect('http://127.0.0.1:9', auth='token')\n"
        "heavy = ('botocore', 'numpy', 'onnxruntime', 'obstore', 'pandas', 'click', 'tqdm', 'requests')\n"
        "print([name for name in heavy if name in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout == "[]\n"
