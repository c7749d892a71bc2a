"""The page /docs: Swagger UI over /openapi.json. Nothing of it comes from another site, no script stands in the page.

Swagger UI's own files are those of the package fastapi-standalone-docs; its Python is not used.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Annotated

from fastapi import APIRouter, FastAPI, Header, Response

from onnxlet.controlplane.etags import etag_matches, format_etag
from onnxlet.errors import RouteNotFoundError
from onnxlet.values.digests import digest

PACKAGE = "fastapi_standalone_docs"
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""What the page may load and ask: this server alone (icons stand in Swagger UI's style sheet), and nobody frames it."""

_HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}
_MEDIA_TYPES = {
    "swagger-ui-bundle.js": "text/javascript",
    "swagger-ui.css": "text/css",
    "start.js": "text/javascript",
}

# All URLs are relative, for a stage of API Gateway or a proxy may put a path before them.
_PAGE = """\
<!doctype html>
<html lang="en">
<!-- Swagger UI: Copyright 2020-2021 SmartBear Software Inc., Apache-2.0 -->
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>onnxlet</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="docs/swagger-ui.css">
<script src="docs/swagger-ui-bundle.js" defer></script>
<script src="docs/start.js" defer></script>
</head>
<body>
<div id="swagger-ui" data-url="./openapi.json"></div>
<noscript>This page needs JavaScript; <a href="./openapi.json">the document it shows</a> does not.</noscript>
</body>
</html>
"""

# A change without a body needs a header that no other site's page can send.
_START = """\
const place = document.getElementById("swagger-ui");
window.ui = SwaggerUIBundle({
  domNode: place,
  url: place.dataset.url,
  deepLinking: true,
  validatorUrl: null,
  requestInterceptor: (request) => {
    request.headers["X-Requested-With"] = "swagger-ui";
    return request;
  },
});
"""

_router = APIRouter(prefix="/docs", include_in_schema=False)


def install(app: FastAPI) -> None:
    """Make `app` answer the page and its files."""
    app.include_router(_router)


@_router.get("")
async def show_page() -> Response:
    """The page."""
    return Response(_PAGE, headers=_HEADERS, media_type="text/html")


@_router.get("/{name}")
async def show_file(name: str, if_none_match: Annotated[str | None, Header()] = None) -> Response:
    """One of the page's files."""
    if name not in _MEDIA_TYPES:
        raise RouteNotFoundError(f"the page /docs has no file {name!r}")
    data, etag = _read(name)
    headers = {"ETag": format_etag(etag), **_HEADERS}
    if if_none_match is not None and etag_matches(if_none_match, etag, weakly=True):
        return Response(status_code=304, headers=headers)
    return Response(data, headers=headers, media_type=_MEDIA_TYPES[name])


@cache
def _read(name: str) -> tuple[bytes, str]:
    """A file's bytes and their digest."""
    data = _START.encode() if name == "start.js" else (files(PACKAGE) / "static" / "swagger" / name).read_bytes()
    return data, digest(data)
