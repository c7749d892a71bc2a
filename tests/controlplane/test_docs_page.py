"""The page /docs: what its files are, and what a browser is told to let them do. A browser itself: tests/browser."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from urllib.parse import urljoin

import pytest
from fastapi.testclient import TestClient

from onnxlet.controlplane.app import create_app
from onnxlet.registry.registry import Registry
from onnxlet.settings import Settings
from onnxlet.store import Store


@pytest.fixture
def client(store: Store) -> Iterator[TestClient]:
    """A client of the control plane."""
    with TestClient(create_app(Settings(), Registry(store))) as client:
        yield client


class Loaded(HTMLParser):
    """What a page loads, and what stands in it that a browser would run."""

    def __init__(self) -> None:
        super().__init__()
        self.urls: list[str] = []
        self.inline: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = dict(attrs)
        self.inline += [name for name in named if name.startswith("on") or name == "style"]
        if tag == "style" or (tag == "script" and "src" not in named):
            self.inline.append(tag)
        url = named.get("src") or named.get("href") or named.get("data-url")
        if url:
            self.urls.append(url)


def load(client: TestClient) -> Loaded:
    page = Loaded()
    page.feed(client.get("/docs").text)
    return page


def test_everything_that_the_page_loads_is_answered_by_the_server_itself(client: TestClient) -> None:
    urls = [url for url in load(client).urls if url != "data:,"]
    assert len(urls) >= 4
    for url in urls:
        assert not re.match(r"\w+:|//|/", url), "a URL that a stage of API Gateway would break"
        assert client.get(urljoin("/docs", url)).status_code == 200, url


def test_no_script_and_no_style_stands_in_the_page(client: TestClient) -> None:
    assert load(client).inline == []


@pytest.mark.parametrize("path", ["/docs", "/docs/start.js", "/docs/swagger-ui-bundle.js", "/docs/swagger-ui.css"])
def test_browsers_are_told_to_load_nothing_else(client: TestClient, path: str) -> None:
    headers = client.get(path).headers
    policy = dict(part.split(" ", 1) for part in headers["Content-Security-Policy"].split("; "))
    assert policy.pop("img-src") == "'self' data:"
    assert {policy.pop(name) for name in ("script-src", "style-src", "connect-src")} == {"'self'"}
    assert set(policy) == {"default-src", "base-uri", "form-action", "frame-ancestors"}
    assert set(policy.values()) == {"'none'"}
    assert headers["X-Content-Type-Options"] == "nosniff"


def test_files_are_sent_once(client: TestClient) -> None:
    first = client.get("/docs/swagger-ui-bundle.js")
    assert first.headers["Content-Type"].startswith("text/javascript")
    again = client.get("/docs/swagger-ui-bundle.js", headers={"If-None-Match": first.headers["ETag"]})
    assert (again.status_code, again.content) == (304, b"")


def test_swagger_ui_is_a_whole_and_recent_one(client: TestClient) -> None:
    script = client.get("/docs/swagger-ui-bundle.js").text
    assert "SwaggerUIBundle" in script[:1000]
    assert len(script) > 1_000_000
    version = max(tuple(map(int, found)) for found in re.findall(r'"(5)\.(\d+)\.(\d+)"', script))
    assert version >= (5, 33, 1)


@pytest.mark.parametrize("name", ["..%2fstart.js", "LICENSE", "redoc.standalone.js", "start.js%00", "%2e%2e"])
def test_no_other_file_is_served(client: TestClient, name: str) -> None:
    answer = client.get(f"/docs/{name}")
    assert answer.status_code == 404
    assert answer.json()["type"] == "/problems/route-not-found"


def test_the_page_is_no_part_of_what_it_describes(client: TestClient) -> None:
    document = client.get("/openapi.json").json()
    assert not [path for path in document["paths"] if path.startswith("/docs")]
    assert document["components"]["securitySchemes"] == {"token": {"type": "http", "scheme": "bearer"}}
    assert {} in document["security"]
