"""Origins: which sites' pages may read the server's answers (CORS). None may unless they are named."""

from __future__ import annotations

from typing import cast

from onnxlet.local.asgi import Application
from onnxlet.values import headers

_METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE")
_EXPOSED = ("ETag", "Server-Timing", headers.MODEL_VERSION, headers.ALIAS, headers.STALE, headers.FALLBACK)
"""Headers of answers that a page may read besides those that it always may."""


def share_with_origins(application: Application, origins: list[str]) -> Application:
    """`application`, whose answers pages of `origins` may read (`*`: of any). Whether they may ask is the guard's."""
    if not origins:
        return application
    from starlette.middleware.cors import CORSMiddleware

    shared = CORSMiddleware(
        application,
        allow_origins=[origin.lower().removesuffix("/") for origin in origins],
        allow_methods=_METHODS,
        allow_headers=["*"],
        expose_headers=_EXPOSED,
    )
    return cast("Application", shared)
