"""How routes run what they are asked: small bodies, in the caller's name, in a thread where others wait."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Annotated, Any, Concatenate, ParamSpec, TypeVar

from fastapi import Depends, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.routing import APIRoute

from onnxlet.controlplane.caller import caller
from onnxlet.errors import RequestTooLargeError
from onnxlet.registry.registry import Registry
from onnxlet.settings import Settings

P = ParamSpec("P")
T = TypeVar("T")

MAX_BODY = 64 * 1024
"""Bytes of a body: what the registry is asked takes less than a hundredth of it."""


class SmallBodyRoute(APIRoute):
    """A route that reads no body over MAX_BODY as JSON."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """What answers a request. Raises RequestTooLargeError."""
        handle = super().get_route_handler()

        async def handle_small(request: Request) -> Response:
            size = len(await request.body())
            if size > MAX_BODY:
                raise RequestTooLargeError(f"the body has {size:,} bytes: the registry reads at most {MAX_BODY:,}")
            return await handle(request)

        return handle_small


class Runner:
    """Runs use cases on the registry, in the name of the request's caller; `in_thread` if they may not block."""

    def __init__(self, registry: Registry, *, in_thread: bool) -> None:
        self.registry = registry
        self.in_thread = in_thread

    async def __call__(self, use: Callable[Concatenate[Registry, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Return what `use(registry, *args, **kwargs)` returns."""
        if self.in_thread:
            return await run_in_threadpool(use, self.registry, *args, **kwargs)
        return use(self.registry, *args, **kwargs)


async def _runner(request: Request) -> Runner:
    settings: Settings = request.app.state.settings
    registry: Registry = request.app.state.registry
    event = request.scope.get("aws.event")
    if event is not None:
        registry = registry.acting_as(caller(event))
    return Runner(registry, in_thread=not settings.function_name)


Run = Annotated[Runner, Depends(_runner)]
