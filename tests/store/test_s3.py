"""The S3 store: servers that fail, and AWS's ways to say who one is."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from onnxlet.errors import OnnxletError, PreconditionFailedError, StoreUnavailableError
from onnxlet.store import Blob, Store, open_store
from onnxlet.store.aws import account

READS: list[Callable[[Store], object]] = [
    lambda store: store.get("models/a"),
    lambda store: store.get_if_changed("models/a", "etag"),
    lambda store: store.get_range("models/a", 0, 10),
    lambda store: store.head("models/a"),
    lambda store: list(store.list("models/")),
]
WRITES: list[Callable[[Store], object]] = [
    lambda store: store.put("models/a", b"data"),
    lambda store: store.create("models/a", b"data"),
    lambda store: store.swap("models/a", b"data", "etag"),
    lambda store: store.delete("models/a"),
    lambda store: store.delete("models/a", etag="etag"),
]
IMPORTED = """
import sys
from onnxlet.store import open_store
open_store("s3://bucket")
print({"boto3", "botocore", "ssl", "urllib.request", "asyncio"} & set(sys.modules))
"""


class Answers(ThreadingHTTPServer):
    """A server that gives each request the next of its answers, the last one for ever, and keeps what it was asked."""

    def __init__(self, *answers: tuple[int, str]) -> None:
        super().__init__(("127.0.0.1", 0), _Answer)
        self.answers = list(answers)
        self.asked: list[dict[str, str]] = []
        self.url = f"http://127.0.0.1:{self.server_port}"


class _Answer(BaseHTTPRequestHandler):
    server: Answers

    def _answer(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.server.asked.append({**self.headers, "method": self.command, "path": self.path})
        status, body = self.server.answers[0] if len(self.server.answers) == 1 else self.server.answers.pop(0)
        self.send_response(status)
        if status == 200:
            self.send_header("ETag", '"etag"')
            self.send_header("Last-Modified", "Mon, 23 Nov 2026 14:00:00 GMT")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())

    do_GET = do_PUT = do_DELETE = do_POST = _answer  # noqa: N815 # http.server's names

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 # http.server's name
        """Keep quiet."""


def _error(code: str, message: str = "Because.") -> str:
    return f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>{message}</Message></Error>"


Serve = Callable[..., Answers]


@pytest.fixture
def serve(s3_environment: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Serve]:
    """Start a server with these answers and make it S3's endpoint."""
    assert s3_environment
    servers: list[Answers] = []

    def start(*answers: tuple[int, str]) -> Answers:
        server = Answers(*answers)
        servers.append(server)
        Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        monkeypatch.setenv("AWS_ENDPOINT_URL", server.url)
        return server

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture
def silent_endpoint(s3_environment: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An endpoint that takes connections and never answers."""
    assert s3_environment
    with socket.create_server(("127.0.0.1", 0), backlog=100) as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.getsockname()[1]}")
        yield


@pytest.mark.long
@pytest.mark.usefixtures("silent_endpoint")
def test_a_store_that_does_not_answer_is_unavailable_within_seconds() -> None:
    def fail(use: Callable[[Store], object]) -> float:
        start = time.monotonic()
        with pytest.raises(StoreUnavailableError, match="no answer in time"):
            use(open_store("s3://bucket"))
        return time.monotonic() - start

    with ThreadPoolExecutor(9) as threads:
        reads, writes = threads.map(fail, READS), threads.map(fail, WRITES)
    assert max(reads) < 6
    assert max(writes) < 10


@pytest.mark.parametrize("use", READS + WRITES)
def test_a_store_that_cannot_be_reached_is_unavailable(
    s3_environment: str, monkeypatch: pytest.MonkeyPatch, use: Callable[[Store], object]
) -> None:
    assert s3_environment
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{nobody.getsockname()[1]}")
        with pytest.raises(StoreUnavailableError, match="the connection was refused"):
            use(open_store("s3://bucket"))


@pytest.mark.parametrize("use", READS + WRITES)
def test_denied_access_says_so(serve: Serve, use: Callable[[Store], object]) -> None:
    serve((403, _error("AccessDenied", "User: x is not authorized.")))
    with pytest.raises(StoreUnavailableError, match=r"denies access to .*: AccessDenied, User: x is not authorized \("):
        use(open_store("s3://bucket"))


@pytest.mark.parametrize("use", READS + WRITES)
def test_a_bucket_that_does_not_exist_makes_the_store_unavailable(
    s3_environment: str, use: Callable[[Store], object]
) -> None:
    assert s3_environment
    with pytest.raises(StoreUnavailableError, match="NoSuchBucket"):
        use(open_store("s3://no-such-bucket"))


@pytest.mark.parametrize("answer", [(404, ""), (404, "<html>Not here</html>"), (200, "hello"), (400, ""), (301, "")])
def test_something_else_than_s3_at_the_endpoint_makes_the_store_unavailable(
    serve: Serve, answer: tuple[int, str]
) -> None:
    serve(answer)
    with pytest.raises(StoreUnavailableError):
        list(open_store("s3://bucket").list(""))
    if answer[0] != 200:
        with pytest.raises(StoreUnavailableError):
            open_store("s3://bucket").get("a")


def test_an_answer_without_an_etag_is_not_accepted(s3_environment: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert s3_environment
    with socket.create_server(("127.0.0.1", 0)) as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.getsockname()[1]}")

        def answer() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello")

        thread = Thread(target=answer)
        thread.start()
        with pytest.raises(StoreUnavailableError, match="no ETag"):
            open_store("s3://bucket").get("a")
        thread.join()


def test_a_server_error_is_tried_again(serve: Serve) -> None:
    server = serve((503, _error("SlowDown")), (500, _error("InternalError")), (200, "data"))
    assert open_store("s3://bucket").get("a") == Blob(b"data", "etag")
    assert len(server.asked) == 3


def test_a_server_that_keeps_failing_is_named_with_its_reason(serve: Serve) -> None:
    serve((503, _error("SlowDown", "Please reduce your request rate.")))
    with pytest.raises(StoreUnavailableError, match="'s3://bucket' failed at 'a': SlowDown, Please reduce"):
        open_store("s3://bucket").get("a")


def test_a_create_that_s3_could_not_decide_is_tried_again(serve: Serve) -> None:
    server = serve((409, _error("ConditionalRequestConflict")), (409, _error("ConditionalRequestConflict")), (200, ""))
    assert open_store("s3://bucket").create("a", b"data") == "etag"
    assert [asked["if-none-match"] for asked in server.asked] == ["*"] * 3


def test_a_swap_that_s3_could_not_decide_has_lost(serve: Serve) -> None:
    serve((409, _error("ConditionalRequestConflict")))
    with pytest.raises(PreconditionFailedError):
        open_store("s3://bucket").swap("a", b"data", "etag")


def test_a_conditional_delete_is_one_request_with_its_condition(serve: Serve) -> None:
    server = serve((204, ""))
    open_store("s3://bucket/p").delete("a", etag="one")
    assert [(asked["method"], asked["path"], asked["if-match"]) for asked in server.asked] == [
        ("DELETE", "/bucket/p/a", '"one"')
    ]


def test_a_large_file_is_one_request_under_its_condition(serve: Serve, tmp_path: Path) -> None:
    server = serve((200, ""))
    with (tmp_path / "large").open("wb") as file:
        file.truncate(40 * 2**20)
    open_store("s3://bucket").create("a", tmp_path / "large")
    assert [(asked["method"], asked["if-none-match"], asked["content-length"]) for asked in server.asked] == [
        ("PUT", "*", str(40 * 2**20))
    ]


def test_a_range_is_asked_for_by_its_etag(serve: Serve) -> None:
    server = serve((412, _error("PreconditionFailed")))
    with pytest.raises(PreconditionFailedError, match="overwritten while it was read"):
        open_store("s3://bucket").get_range("a", 5, 10, etag="one")
    assert [(asked["range"], asked["if-match"]) for asked in server.asked] == [("bytes=5-14", '"one"')]


@pytest.mark.parametrize("first", ["range", "condition"])
def test_a_range_beyond_the_end_of_another_object_is_not_taken_for_its_end(serve: Serve, first: str) -> None:
    # nobody says which S3 looks at first
    serve(*[(416, _error("InvalidRange"))] * 2, (200, "")) if first == "range" else serve((412, _error("Precondition")))
    with pytest.raises(PreconditionFailedError):
        open_store("s3://bucket").get_range("a", 5, 10, etag="one")


def test_a_prefix_keeps_stores_in_one_bucket_apart(s3_store_url: str) -> None:
    inner, outer = open_store(s3_store_url), open_store(s3_store_url.removesuffix("/prefix"))
    inner.put("a", b"data")
    assert [entry.key for entry in outer.list("")] == ["prefix/a"]
    assert [entry.key for entry in outer.list("pre")] == ["prefix/a"]
    assert open_store(s3_store_url + "/").get("a").data == b"data"
    whole = open_store("/".join(s3_store_url.split("/")[:3]))
    assert [entry.key for entry in whole.list("")] == ["some/prefix/a"]


@pytest.mark.parametrize("variable", ["AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"])
@pytest.mark.parametrize("region", ["AWS_REGION", "AWS_DEFAULT_REGION"])
def test_a_functions_credentials_come_from_its_environment(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, variable: str, region: str
) -> None:
    server = serve((200, "data"))
    for name in ("AWS_ENDPOINT_URL", "AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name)
    monkeypatch.setenv(variable, server.url)
    monkeypatch.setenv(region, "ap-south-1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "token")
    open_store("s3://bucket").get("a")
    assert "Credential=key/" in server.asked[0]["authorization"]
    assert "/ap-south-1/s3/" in server.asked[0]["authorization"]
    assert server.asked[0]["x-amz-security-token"] == "token"


@pytest.fixture
def laptop(serve: Serve, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Answers:
    """A place without AWS's variables, but with its files."""
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.delenv("AWS_REGION")
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    keys = "aws_access_key_id = {0}-key\naws_secret_access_key = {0}-secret\n"
    (tmp_path / "credentials").write_text(f"[default]\n{keys.format('my')}[work]\n{keys.format('work')}")
    (tmp_path / "config").write_text("[default]\nregion = eu-west-3\n[profile work]\nregion = sa-east-1\n")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    return serve((200, "data"))


@pytest.mark.parametrize(("profile", "found"), [("", "my-key/eu-west-3"), ("work", "work-key/sa-east-1")])
def test_a_laptops_credentials_come_from_its_profiles(
    laptop: Answers, monkeypatch: pytest.MonkeyPatch, profile: str, found: str
) -> None:
    if profile:
        monkeypatch.setenv("AWS_PROFILE", profile)
    open_store("s3://bucket").get("a")
    scope = laptop.asked[0]["authorization"].split("Credential=")[1].split("/")
    assert f"{scope[0]}/{scope[2]}" == found


def test_a_laptop_without_credentials_is_told_what_to_do(
    laptop: Answers, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "credentials").unlink()
    with pytest.raises(StoreUnavailableError, match="no AWS credentials: set AWS_ACCESS_KEY_ID"):
        open_store("s3://bucket")
    monkeypatch.setenv("AWS_PROFILE", "missing")
    with pytest.raises(StoreUnavailableError, match="missing"):
        open_store("s3://bucket")
    assert laptop.asked == []


def test_profiles_are_never_asked_for_on_lambda(laptop: Answers, monkeypatch: pytest.MonkeyPatch) -> None:
    assert laptop.url
    monkeypatch.setenv("AWS_LAMBDA_FUNCTION_NAME", "predict")
    assert account().credentials is None


def test_opening_a_store_imports_no_second_client(s3_environment: str) -> None:
    assert s3_environment
    done = subprocess.run([sys.executable, "-c", IMPORTED], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_plain_http_is_allowed_only_where_the_endpoint_asks_for_it(
    s3_environment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert account().plain_http
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3_environment.replace("http:", "https:"))
    assert not account().plain_http


def test_errors_keep_their_cause(serve: Serve) -> None:
    serve((403, _error("AccessDenied")))
    with pytest.raises(OnnxletError) as caught:
        open_store("s3://bucket").get("a")
    assert type(caught.value.__cause__).__module__ == "obstore.exceptions"
