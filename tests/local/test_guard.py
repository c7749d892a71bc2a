"""Who may ask the local server, and for what: real servers, asked as browsers, scripts and attackers ask."""

from __future__ import annotations

import hashlib
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

import onnxlet
from models import tiny
from onnxlet.errors import AccessDeniedError, InvalidInputError
from onnxlet.local import serve
from onnxlet.settings import Settings
from onnxlet.store import Store, open_store
from servers import PREDICT, ROW, TIMEOUT, Server, exchange, running, starting

pytestmark = pytest.mark.slow

TOKEN = hashlib.sha256(b"a token of this test").hexdigest()
BEARER = {"Authorization": f"Bearer {TOKEN}"}
ROLLBACK = "/registry/models/tiny:rollback"
READS = (
    "/registry/models",
    "/registry/models/tiny/versions/1",
    "/openapi.json",
    "/docs",
    "/metrics",
    "/v1/models/tiny",
)
SITE = "https://evil.example"


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """A store of one model, `tiny`, with two versions: production was promoted from the first to the second."""
    store = open_store((tmp_path / "store").as_uri())
    tiny.publish(store, "tiny", tiny.classifier_package(tmp_path / "one"))
    tiny.publish(store, "tiny", tiny.classifier_package(tmp_path / "two", bias=3))
    return store


@pytest.fixture
def settings(store: Store, tmp_path: Path) -> dict[str, Any]:
    """Settings over that store."""
    return {"store": store.url, "cache_dir": str(tmp_path / "cache")}


@pytest.fixture
def server(settings: dict[str, Any]) -> Iterator[Server]:
    """A server as `onnxlet serve` starts it on a workstation."""
    with running(settings) as server:
        yield server


@pytest.fixture(scope="module")
def named(served_settings: dict[str, str | float]) -> Iterator[Server]:
    """A server that answers to names of its own too."""
    with running(served_settings | {"allowed_hosts": "models.example, *.wards.example, gpu_box"}) as server:
        yield server


def production(store: Store) -> int:
    """The version that production routes to."""
    document = json.loads(store.get("aliases/tiny/production.json").data)
    return int(document["routes"][0]["version"])


def ask(server: Server, target: str, *lines: str, version: str = "1.1", method: str = "GET", body: str = "") -> int:
    """The status of the answer to a request that is written by hand."""
    head = [f"{method} {target} HTTP/{version}", *lines, "Connection: close", f"Content-Length: {len(body)}", "", body]
    got = exchange(server, "\r\n".join(head).encode())
    assert got.startswith(b"HTTP/1.1 "), got
    return int(got.split(b" ")[1])


# --- hosts ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "127.0.0.1:8080",
        "127.0.0.1.:80",
        "192.0.2.7:31000",
        "[::1]",
        "[::1]:8080",
        "[2001:DB8::7]:1",
        "[::ffff:127.0.0.1]",
        "localhost",
        "LOCALHOST:65535",
        "LocalHost.",
        "localhost.:9000",
        "localhost:",
        "models.localhost:8080",
        "models.example",
        "MODELS.example.:443",
        "a.b.wards.example:5",
        "gpu_box:8080",
    ],
)
def test_addresses_loopback_names_and_names_it_was_told_are_the_servers_own(named: Server, host: str) -> None:
    assert ask(named, "/registry/models", f"Host: {host}") == 200
    assert ask(named, "/v1/models/tiny", f"Host: {host}") == 200


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("evil.example", 403),
        ("evil.example:8080", 403),
        ("localhost.evil.example", 403),
        ("evil-localhost", 403),
        ("127.0.0.1.evil.example", 403),
        ("127.0.0.1.nip.example:8080", 403),
        ("models.example.evil.example", 403),
        ("wards.example", 403),
        ("evilwards.example", 403),
        ("2130706433", 403),
        ("0x7f.1", 403),
        ("127.1", 403),
        ("127.0.0.1..", 403),
        ("localhost..", 403),
        ("[::1]evil.example", 400),
        ("[evil.example]", 403),
        ("::1", 400),
        ("localhost:80:80", 400),
        ("localhost:8o80", 400),
        ("localhost, evil.example", 400),
        ("evil.example@localhost", 400),
        ("localhost@evil.example", 400),
        ("localhost/evil.example", 400),
        ("http://localhost", 400),
        ("local host", 400),
        ("löcalhost", 400),
        ("%6cocalhost", 400),
        ("*", 400),
        ("", 400),
    ],
)
def test_no_other_name_is_answered_to(named: Server, host: str, status: int) -> None:
    for path in (*READS, "/", "/nothing"):
        assert ask(named, path, f"Host: {host}") == status, path
    assert ask(named, PREDICT, f"Host: {host}", method="POST", body=json.dumps(ROW)) == status


def test_a_rebound_page_learns_nothing_and_is_told_what_to_do(named: Server) -> None:
    for path, kind in (("/registry/models", "application/problem+json"), ("/v1/models/tiny", "application/json")):
        answer = requests.get(named.url + path, headers={"Host": "evil.example:8080"}, timeout=TIMEOUT)
        assert (answer.status_code, answer.headers["Content-Type"]) == (403, kind)
        assert "does not answer to the name 'evil.example'" in answer.json()["error"]
        assert "--allowed-host evil.example" in answer.json()["error"]
        assert "tiny" not in answer.text.replace("models/tiny", "")


def test_a_rebound_page_changes_nothing(server: Server, store: Store) -> None:
    before = {entry.key for entry in store.list("")}
    head = {"Host": "evil.example", "Origin": "http://evil.example", "Sec-Fetch-Site": "same-origin"}
    for method, path, document in (
        ("POST", ROLLBACK, {}),
        ("PUT", "/registry/models/tiny/aliases/evil", {"version": 1}),
        ("DELETE", "/registry/models/tiny/versions/1?force=true", {}),
    ):
        answer = requests.request(method, server.url + path, json=document, headers=head, timeout=TIMEOUT)
        assert answer.status_code == 403, path
    assert {entry.key for entry in store.list("")} == before
    assert production(store) == 2


def test_a_request_has_one_host(named: Server) -> None:
    for hosts in (("Host: localhost", "Host: evil.example"), ("Host: localhost", "host: localhost"), ()):
        assert ask(named, "/registry/models", *hosts) == 400
        assert ask(named, PREDICT, *hosts, method="POST", body=json.dumps(ROW)) == 400


def test_clients_older_than_hosts_are_answered(named: Server) -> None:
    assert ask(named, "/registry/models", version="1.0") == 200
    assert ask(named, "/registry/models", "Host: evil.example", version="1.0") == 403


@pytest.mark.parametrize(
    ("target", "host", "status"),
    [
        ("http://localhost/registry/models", "evil.example", 200),
        ("http://127.0.0.1:8080/registry/models", "localhost", 200),
        ("http://evil.example/registry/models", "localhost", 403),
        ("HTTP://evil.example:8080/registry/models?x=://localhost/", "localhost", 403),
        ("http://localhost@evil.example/registry/models", "localhost", 400),
        ("http://evil.example?/registry/models", "localhost", 400),
        ("//evil.example/registry/models", "localhost", 404),
    ],
)
def test_the_host_of_a_whole_url_counts_in_place_of_the_header(
    named: Server, target: str, host: str, status: int
) -> None:
    assert ask(named, target, f"Host: {host}") == status


@pytest.mark.parametrize("hosts", [(), ("Host: evil.example",), ("Host: a", "Host: b"), ("Host: @",)])
def test_health_is_told_to_whoever_asks(named: Server, hosts: tuple[str, ...]) -> None:
    for path in ("/v2/health/live", "/v2/health/ready"):
        assert ask(named, path, *hosts) == 200


def test_health_is_no_way_in(named: Server) -> None:
    for path in ("/v2/health/../models/tiny", "/v2/health/..%2f..%2fregistry/models", "/v2/healthy", "/V2/health/live"):
        assert ask(named, path, "Host: evil.example") in (403, 404), path


def test_the_name_that_it_listens_on_is_its_own(settings: dict[str, Any]) -> None:
    with running(settings, "localhost") as server:
        assert ask(server, "/registry/models", "Host: localhost") == 200


def test_any_name_will_do_if_that_is_said(settings: dict[str, Any]) -> None:
    with running(settings | {"allowed_hosts": "*"}) as server:
        assert ask(server, "/registry/models", "Host: whatever.example") == 200
        assert ask(server, "/registry/models", "Host: a@b") == 400


@pytest.mark.parametrize(
    "name", ["models.example:8080", "http://models.example", "a b", "*.*", "ex*mple", "[::1", "a@b"]
)
def test_what_is_no_host_is_refused_before_anything_is_served(name: str) -> None:
    with pytest.raises(InvalidInputError, match="is no host"):
        serve(Settings(store="memory://hosts", allowed_hosts=name), port=0)


# --- pages of other sites ---------------------------------------------------------------------------------------------


FOREIGN = [
    {"Origin": SITE},
    {"Origin": "null"},
    {"Origin": "http://localhost"},
    {"Origin": "http://127.0.0.1:1"},
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
    {"Origin": SITE, "Sec-Fetch-Site": "cross-site", "X-Requested-With": "XMLHttpRequest"},
]


@pytest.mark.parametrize("headers", FOREIGN, ids=str)
def test_pages_of_other_sites_change_nothing(server: Server, store: Store, headers: dict[str, str]) -> None:
    for method, path, document in (
        ("POST", ROLLBACK, {}),
        ("PUT", "/registry/models/tiny/aliases/evil", {"version": 1}),
        ("DELETE", "/registry/models/tiny/versions/1?force=true", {}),
    ):
        answer = requests.request(method, server.url + path, json=document, headers=headers, timeout=TIMEOUT)
        assert answer.status_code == 403, path
        assert answer.json()["type"] == "/problems/access-denied"
    assert production(store) == 2


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("text/plain", "{}"),
        ("text/plain;charset=UTF-8", '{"alias": "production"}'),
        ("application/x-www-form-urlencoded", "alias=production"),
        (
            "multipart/form-data; boundary=x",
            '--x\r\nContent-Disposition: form-data; name="alias"\r\n\r\nproduction\r\n--x--',
        ),
        ("text/plain; x=application/json", "{}"),
        ("text/json", "{}"),
        ("application/jsonp", "{}"),
        ("", "{}"),
        (None, ""),
        (None, "{}"),
    ],
)
def test_what_a_form_or_a_page_can_send_unasked_changes_nothing(
    server: Server, store: Store, kind: str | None, body: str
) -> None:
    lines = ["Host: localhost"] + ([] if kind is None else [f"Content-Type: {kind}"])
    assert ask(server, ROLLBACK, *lines, method="POST", body=body) == 415
    if kind is not None:
        assert ask(server, ROLLBACK, *lines, "Content-Type: application/json", method="POST", body=body) == 415
    assert production(store) == 2


def test_programs_change_it_as_json_or_with_a_header_of_their_own(server: Server, store: Store) -> None:
    alias = server.url + "/registry/models/tiny/aliases/candidate"
    merge = {"Content-Type": "Application/JSON; charset=utf-8"}
    assert requests.put(alias, data='{"version": 1}', headers=merge, timeout=TIMEOUT).status_code == 201
    version = server.url + "/registry/models/tiny/versions/1"
    assert requests.delete(version, timeout=TIMEOUT).status_code == 415
    own = {"X-Requested-With": "curl"}
    assert requests.delete(version, headers=own, timeout=TIMEOUT).json()["type"] == "/problems/version-in-use"
    assert requests.post(server.url + ROLLBACK, headers=own, timeout=TIMEOUT).status_code == 200
    assert production(store) == 1


def test_the_servers_own_pages_change_it(server: Server, store: Store) -> None:
    own = {"Origin": server.url, "Sec-Fetch-Site": "same-origin"}
    assert requests.post(server.url + ROLLBACK, json={}, headers=own, timeout=TIMEOUT).status_code == 200
    assert production(store) == 1


def test_pages_may_ask_for_predictions_as_before_and_read_no_answer(server: Server) -> None:
    for headers in FOREIGN:
        plain = headers | {"Content-Type": "text/plain"}
        answer = requests.post(server.url + PREDICT, data=json.dumps(ROW), headers=plain, timeout=TIMEOUT)
        assert answer.status_code == 200
        assert not [name for name in answer.headers if name.lower().startswith("access-control")]
    asked = {"Origin": SITE, "Access-Control-Request-Method": "POST"}
    preflight = requests.options(server.url + PREDICT, headers=asked, timeout=TIMEOUT)
    assert not [name for name in preflight.headers if name.lower().startswith("access-control")]


def test_a_site_that_is_named_may_use_it(settings: dict[str, Any], store: Store) -> None:
    with running(settings | {"allowed_origins": "https://console.example, http://localhost:5173"}) as server:
        origin = {"Origin": "https://console.example"}
        asked = origin | {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type"}
        preflight = requests.options(server.url + ROLLBACK, headers=asked, timeout=TIMEOUT)
        assert preflight.headers["Access-Control-Allow-Origin"] == "https://console.example"
        assert "POST" in preflight.headers["Access-Control-Allow-Methods"]
        assert preflight.headers["Access-Control-Allow-Headers"].lower() == "content-type"
        answer = requests.post(server.url + PREDICT, json=ROW, headers=origin, timeout=TIMEOUT)
        assert answer.headers["Access-Control-Allow-Origin"] == "https://console.example"
        assert "X-Onnxlet-Model-Version" in answer.headers["Access-Control-Expose-Headers"]
        cross = origin | {"Sec-Fetch-Site": "cross-site"}
        assert requests.post(server.url + ROLLBACK, json={}, headers=cross, timeout=TIMEOUT).status_code == 200
        assert production(store) == 1
        for other in (SITE, "https://console.example.evil.example", "http://console.example", "null"):
            answer = requests.get(server.url + "/registry/models", headers={"Origin": other}, timeout=TIMEOUT)
            assert "Access-Control-Allow-Origin" not in answer.headers
            moved = requests.post(server.url + ROLLBACK, json={}, headers={"Origin": other}, timeout=TIMEOUT)
            assert moved.status_code == 403


def test_any_site_may_predict_but_not_change_where_all_are_let_in(settings: dict[str, Any]) -> None:
    with running(settings | {"allowed_origins": "*"}) as server:
        answer = requests.post(server.url + PREDICT, json=ROW, headers={"Origin": SITE}, timeout=TIMEOUT)
        assert answer.headers["Access-Control-Allow-Origin"] == "*"
        moved = requests.post(server.url + ROLLBACK, json={}, headers={"Origin": SITE}, timeout=TIMEOUT)
        assert moved.status_code == 403


@pytest.mark.parametrize("origin", ["console.example", "ftp://console.example", "https://", "https://a.example/x"])
def test_what_is_no_origin_is_refused_before_anything_is_served(origin: str) -> None:
    with pytest.raises(InvalidInputError, match="is no origin"):
        serve(Settings(store="memory://origins", allowed_origins=origin), port=0)


# --- tokens -----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def closed(served_settings: dict[str, str | float]) -> Iterator[Server]:
    """A server that asks for a token, with two workers."""
    with running(served_settings | {"token": TOKEN}, workers=2) as server:
        yield server


@pytest.mark.parametrize(
    "lines",
    [
        (),
        ("Authorization: Bearer",),
        ("Authorization: Bearer ",),
        (f"Authorization: {TOKEN}",),
        (f"Authorization: Basic {TOKEN}",),
        (f"Authorization: Bearer {TOKEN[:-1]}",),
        (f"Authorization: Bearer {TOKEN}0",),
        (f"Authorization: Bearer {TOKEN.upper()}",),
        (f"Authorization: Bearer {TOKEN}, Bearer {TOKEN}",),
        (f"Authorization: Bearer {TOKEN}", "Authorization: Bearer x"),
        (f"X-Authorization: Bearer {TOKEN}",),
    ],
    ids=str,
)
def test_without_its_token_nothing_is_told(closed: Server, lines: tuple[str, ...]) -> None:
    for path in ("/registry/models", "/metrics", "/v1/models/tiny", "/v2", "/nothing", "/docsx", f"/?token={TOKEN}"):
        assert ask(closed, path, "Host: localhost", *lines) == 401, path
    assert ask(closed, PREDICT, "Host: localhost", *lines, method="POST", body=json.dumps(ROW)) == 401
    assert ask(closed, ROLLBACK, "Host: localhost", *lines, method="POST", body="{}") == 401


def test_with_its_token_everything_is_answered(closed: Server) -> None:
    for path in READS:
        assert requests.get(closed.url + path, headers=BEARER, timeout=TIMEOUT).status_code == 200, path
    lower = {"authorization": f"bearer {TOKEN}"}
    assert requests.post(closed.url + PREDICT, json=ROW, headers=lower, timeout=TIMEOUT).status_code == 200


def test_health_and_what_describes_the_api_need_no_token(closed: Server) -> None:
    for path in ("/v2/health/live", "/v2/health/ready", "/docs", "/openapi.json", "/problems", "/problems/conflict"):
        assert requests.get(closed.url + path, timeout=TIMEOUT).status_code == 200, path


def test_a_refusal_says_how_to_send_a_token_and_never_which(closed: Server) -> None:
    answer = requests.get(closed.url + "/registry/models", timeout=TIMEOUT)
    assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (401, "Bearer")
    assert answer.json()["detail"] == "this server asks for its token: send it as 'Authorization: Bearer …'"
    wrong = requests.get(closed.url + "/registry/models", headers={"Authorization": "Bearer no"}, timeout=TIMEOUT)
    assert wrong.json()["detail"].startswith("the token is not this server's")
    assert TOKEN[:8] not in answer.text + wrong.text
    assert TOKEN not in repr(Settings(token=TOKEN))
    assert "alias_ttl=10.0" in repr(Settings(token=TOKEN))


def test_a_token_does_not_let_pages_in(closed: Server) -> None:
    headers = BEARER | {"Origin": SITE}
    assert requests.post(closed.url + ROLLBACK, json={}, headers=headers, timeout=TIMEOUT).status_code == 403


def test_the_client_sends_the_token(settings: dict[str, Any], store: Store) -> None:
    with running(settings | {"token": TOKEN}) as server:
        with onnxlet.connect(server.url, auth=TOKEN) as client:
            assert client.predict("tiny", [[1.0, 2.0, 3.0]]).version == 2
            assert client.rollback("tiny", why="a test").routes[0].version == 1
            assert client.promote("tiny", 2, why="another").routes[0].version == 2
        assert production(store) == 2
        with onnxlet.connect(server.url) as nobody:
            with pytest.raises(AccessDeniedError, match=r"401.*token"):
                nobody.predict("tiny", [[1.0, 2.0, 3.0]])
            with pytest.raises(AccessDeniedError):
                nobody.rollback("tiny")
            assert nobody.ready()


@pytest.mark.parametrize("token", ["two words", "Bearer x", "snow☃", "a,b"])
def test_what_is_no_token_is_refused_and_not_repeated(token: str) -> None:
    with pytest.raises(InvalidInputError, match="openssl rand") as raised:
        serve(Settings(store="memory://tokens", token=token), port=0)
    assert token not in str(raised.value)


# --- what may be changed, and where -----------------------------------------------------------------------------------


def test_a_read_only_server_changes_nothing(settings: dict[str, Any], store: Store) -> None:
    with running(settings | {"token": TOKEN, "read_only": True}) as server:
        answer = requests.post(server.url + ROLLBACK, json={}, headers=BEARER, timeout=TIMEOUT)
        assert (answer.status_code, answer.json()["detail"].partition(":")[0]) == (403, "this server is read-only")
        assert requests.get(server.url + "/registry/models", headers=BEARER, timeout=TIMEOUT).status_code == 200
        assert requests.post(server.url + PREDICT, json=ROW, headers=BEARER, timeout=TIMEOUT).status_code == 200
    assert production(store) == 2


@pytest.mark.parametrize("host", ["0.0.0.0", "::", ""])  # noqa: S104 - hosts that other machines reach
def test_beyond_this_machine_it_warns_and_nobody_changes_anything_without_a_token(
    settings: dict[str, Any], store: Store, host: str
) -> None:
    with starting(settings, host) as process:
        assert process.stderr is not None
        lines = [process.stderr.readline() for _ in range(4)]
        assert all(line.startswith("WARNING: ") for line in lines[:3]), lines
        assert "asks nobody who they are" in "".join(lines)
        assert "set ONNXLET_TOKEN" in "".join(lines)
        url = lines[3].split()[3].rstrip(":")
        answer = requests.post(url + ROLLBACK, json={}, timeout=TIMEOUT)
        assert answer.status_code == 403
        assert "start it with a token" in answer.json()["detail"]
        assert requests.get(url + "/registry/models", timeout=TIMEOUT).status_code == 200
        assert requests.post(url + PREDICT, json=ROW, timeout=TIMEOUT).status_code == 200
    assert production(store) == 2


def test_beyond_this_machine_a_token_changes_things_without_a_warning(settings: dict[str, Any], store: Store) -> None:
    with starting(settings | {"token": TOKEN}, "0.0.0.0", workers=2) as process:  # noqa: S104 - reached by other machines
        assert process.stderr is not None
        line = process.stderr.readline()
        assert line.startswith("onnxlet answers at ")
        url = line.split()[3].rstrip(":")
        assert requests.post(url + ROLLBACK, json={}, headers=BEARER, timeout=TIMEOUT).status_code == 200
    assert production(store) == 1


def test_refusals_are_counted(named: Server) -> None:
    def count() -> int:
        text = requests.get(named.url + "/metrics", timeout=TIMEOUT).text
        lines = [line for line in text.splitlines() if '_count{plane="control",status="415"}' in line]
        return int(lines[0].split()[1]) if lines else 0

    before = count()
    requests.post(named.url + "/registry/models", timeout=TIMEOUT)
    assert count() == before + 1


def test_a_refused_request_does_not_end_its_connection(named: Server) -> None:
    body = b"x" * 100_000
    post = b"POST " + ROLLBACK.encode() + b" HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % len(body)
    live = b"GET /v2/health/live HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    got = exchange(named, post + body + live)
    assert got.startswith(b"HTTP/1.1 415")
    assert got.count(b"HTTP/1.1 200") == 1


def test_curl_is_refused_and_let_in_as_the_operations_page_says(server: Server, store: Store) -> None:
    command = ["curl", "-sS", "-o", "/dev/null", "-w", "%{http_code}", "-X", "POST", server.url + ROLLBACK]
    form = subprocess.run([*command, "-d", "alias=production"], capture_output=True, text=True, check=True)
    assert (form.stdout, production(store)) == ("415", 2)
    as_json = [*command, "-H", "Content-Type: application/json", "-d", "{}"]
    assert subprocess.run(as_json, capture_output=True, text=True, check=True).stdout == "200"
    assert production(store) == 1
