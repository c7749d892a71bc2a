"""A real browser, Chromium, at the local server: its own page, and pages of other sites."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, expect

from models import tiny
from onnxlet.store import Store, open_store
from scripted import Received, Reply, scripted
from servers import Server, running

TOKEN = hashlib.sha256(b"a token of this test").hexdigest()
EVIL = "evil.example"
"""A name that the browser finds on this machine."""
OPERATIONS = 30
"""What /openapi.json describes at least."""


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """A store of one model, `tiny`, whose production was promoted from the first version to the second."""
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


def production(store: Store) -> int:
    """The version that production routes to."""
    return int(json.loads(store.get("aliases/tiny/production.json").data)["routes"][0]["version"])


class Watched:
    """A page, what it asked for, and what the browser complained about."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.asked: list[str] = []
        self.complaints: list[str] = []
        page.on("request", lambda request: self.asked.append(request.url))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("console", self._note)
        page.add_init_script(
            "addEventListener('securitypolicyviolation', event => console.error('CSP ' + event.violatedDirective))"
        )

    def _note(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(message.text)

    def open_docs(self, url: str) -> None:
        """Open the page and wait until it shows what can be asked."""
        self.page.goto(url + "/docs")
        expect(self.page.locator(".opblock-summary").first).to_be_visible()

    def execute(self, method: str, path: str) -> str:
        """Try an operation out; return the status that the page shows."""
        block = self.page.locator(f".opblock-{method}").filter(has=self.page.locator(f"[data-path='{path}']"))
        block.locator(".opblock-summary-control").click()
        block.get_by_role("button", name="Try it out").click()
        for place in block.locator(".parameters input[type=text]").all():
            name = (place.get_attribute("placeholder") or "").lower()
            if name in ("model", "version"):
                place.fill({"model": "tiny", "version": "2"}[name])
        block.get_by_role("button", name="Execute").click()
        status = block.locator(".live-responses-table .response-col_status").last
        return str(status.inner_text()).split()[0]


@pytest.fixture
def watched(browser: Browser) -> Iterator[Watched]:
    """A new page in a profile of its own."""
    with browser.new_context() as context:
        yield Watched(context.new_page())


def test_the_page_shows_every_operation_without_another_site_or_a_script_of_its_own(
    server: Server, watched: Watched
) -> None:
    watched.open_docs(server.url)
    document = watched.page.evaluate("fetch('/openapi.json').then(answer => answer.json())")
    operations = sum(len(methods) for methods in document["paths"].values())
    assert operations >= OPERATIONS
    expect(watched.page.locator(".opblock-summary")).to_have_count(operations)
    for section in watched.page.locator(".opblock-summary-control").all()[:5]:
        section.click()
    assert all(url.startswith((server.url + "/", "data:")) for url in watched.asked)
    assert watched.complaints == []
    assert watched.page.locator("script:not([src])").count() == 0


def test_the_page_asks_and_changes_what_it_shows(server: Server, watched: Watched, store: Store) -> None:
    watched.open_docs(server.url)
    assert watched.execute("get", "/registry/models") == "200"
    assert watched.execute("delete", "/registry/models/{model}/versions/{version}") == "409"
    assert watched.execute("post", "/registry/models/{model}:rollback") == "200"
    assert production(store) == 1


def test_the_page_sends_the_token_that_it_is_given(settings: dict[str, Any], watched: Watched, store: Store) -> None:
    with running(settings | {"token": TOKEN}) as server:
        watched.open_docs(server.url)
        assert watched.execute("get", "/registry/models") == "401"
        watched.page.get_by_role("button", name="Authorize").first.click()
        watched.page.locator(".modal-ux input").fill(TOKEN)
        watched.page.locator(".modal-ux").get_by_role("button", name="Apply credentials").click()
        watched.page.locator(".modal-ux").get_by_role("button", name="Close").first.click()
        assert watched.execute("post", "/registry/models/{model}:rollback") == "200"
    assert production(store) == 1


ATTACKS = {
    "a simple request": 'await fetch(url + ":rollback", {method: "POST", mode: "no-cors", body: "{}"});',
    "a request that asks for leave": """
        const headers = {"Content-Type": "application/json"};
        await fetch(url + ":rollback", {method: "POST", body: "{}", headers});
    """,
    "a deletion": 'await fetch(url + "/versions/1?force=true", {method: "DELETE"});',
    "a beacon": 'navigator.sendBeacon(url + ":rollback", new Blob(["{}"], {type: "text/plain"}));',
    "a form": """
        const form = document.createElement("form");
        Object.assign(form, {method: "POST", action: url + ":rollback", enctype: "text/plain", target: "there"});
        document.body.append(form);
        form.submit();
    """,
}
"""What a page does to the model at `url`."""


@contextmanager
def attacking(server: Server, attack: str) -> Iterator[str]:
    """The URL of another site's page that attacks the server when it is opened, and then says that it is done."""
    page = f"""<!doctype html><title>begun</title><body><iframe name="there"></iframe><script>
        (async (url) => {{
            try {{ {ATTACKS[attack]} }} catch {{}}
            setTimeout(() => {{ document.title = "done"; }}, 500);
        }})("{server.url}/registry/models/tiny");
    </script>"""

    def answer(_: Received) -> Reply:
        return Reply(200, page.encode(), {"Content-Type": "text/html"})

    with scripted(answer) as site:
        yield site.url


@pytest.mark.parametrize("attack", ATTACKS)
@pytest.mark.parametrize("name", ["127.0.0.1", EVIL])
def test_pages_of_other_sites_change_nothing(
    server: Server, watched: Watched, store: Store, attack: str, name: str
) -> None:
    keys = {entry.key for entry in store.list("")}
    with attacking(server, attack) as site:
        watched.page.goto(site.replace("127.0.0.1", name))
        expect(watched.page).to_have_title("done")
    assert any(url.startswith(server.url + "/registry/models/tiny") for url in watched.asked)
    assert production(store) == 2
    assert {entry.key for entry in store.list("")} == keys


def test_a_rebound_name_shows_nothing(server: Server, watched: Watched) -> None:
    port = server.address[1]
    answer = watched.page.goto(f"http://{EVIL}:{port}/registry/models")
    assert answer is not None
    assert answer.status == 403
    watched.page.goto(f"http://localhost:{port}/registry/models")
    assert json.loads(watched.page.inner_text("body")) == {"models": ["tiny"]}
