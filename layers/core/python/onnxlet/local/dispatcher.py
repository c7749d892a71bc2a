"""The dispatcher: one ASGI application in which no framework stands in front of a prediction."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from functools import partial
from http import HTTPStatus
from time import perf_counter

from onnxlet.dataplane.dispatch import MAX_REQUEST, DataPlane
from onnxlet.dataplane.messages import Request, Response
from onnxlet.dataplane.protocols import answers_immediately, owns_path
from onnxlet.errors import RequestTooLargeError
from onnxlet.local.asgi import (
    Application,
    Message,
    Receive,
    Scope,
    Send,
    identify,
    read_body,
    replayed,
    send_response,
    to_request,
)
from onnxlet.local.guard import Guard, split
from onnxlet.local.latency import QUICK, Latencies
from onnxlet.local.metrics import CONTENT_TYPE, Metrics
from onnxlet.local.origins import share_with_origins
from onnxlet.local.shared_bytes import SharedBytes
from onnxlet.local.thread_pool import ThreadPool, Timed
from onnxlet.monitor import row_watchers
from onnxlet.serving.cancellation import Cancellation
from onnxlet.serving.predictor import Predictor
from onnxlet.settings import Settings
from onnxlet.store import Store, open_store
from onnxlet.telemetry.background import Background
from onnxlet.telemetry.recording import Telemetry, Watcher

SHORTEST_PAUSE = 0.1
"""Seconds between two looks at the aliases in use, at least."""


def create_asgi(
    settings: Settings, host: str = "", *, exposed: bool = False, who: str = "", metrics: Metrics | None = None
) -> Application:
    """Data plane and control plane over the store of `settings`; `who` is written into the history of what it moves.

    `host` is a name that it answers to, `exposed` whether other machines reach it. `metrics` may be shared with other
    workers; without them, this application counts alone.
    Raises InvalidInputError if the store's URL is none, or a setting of who may ask.
    """
    guard = Guard(settings, host, exposed=exposed)
    dispatcher = Dispatcher(settings, open_store(settings.store), who, metrics or Metrics(), guard)
    return share_with_origins(dispatcher, split(settings.allowed_origins))


class Dispatcher:
    """Gives the data plane its paths and the control plane the rest."""

    def __init__(self, settings: Settings, store: Store, who: str, metrics: Metrics, guard: Guard) -> None:
        self._settings = settings
        self._store = store
        self._who = who
        self._telemetry = Telemetry()
        self._telemetry.watch_with(partial(_open_totals, metrics.shared))
        if settings.request_log:
            self._telemetry.watch_with(_open_request_log)
        for open_watcher in row_watchers(store, settings):
            self._telemetry.watch_with(partial(open_watcher, self._telemetry))
        self._predictor = Predictor(store, settings, telemetry=self._telemetry)
        self._dataplane = DataPlane(self._predictor)
        self._threads = ThreadPool(self._dataplane.answer)
        self._latencies = Latencies()
        self._metrics = metrics
        self._guard = guard
        self._control: Awaitable[Application] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer what the server has: a request, or its own start and end."""
        if scope["type"] == "http":
            await self._answer(scope, receive, send)
        elif scope["type"] == "lifespan":
            await self._run_lifespan(receive, send)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        path: str = scope["path"]
        started = perf_counter()
        refusal = self._guard.judge(scope)
        if refusal is not None:
            self._metrics.count("data" if owns_path(path) else "control", refusal.status, perf_counter() - started)
            await send_response(send, receive, identify(scope, refusal.to_response(path)), scope["method"])
            return
        body = await read_body(receive, MAX_REQUEST)
        if body is None:
            return
        started = perf_counter()
        if owns_path(path):
            response = await self._predict(to_request(scope, body), receive)
            self._metrics.count("data", response.status, perf_counter() - started)
            await send_response(send, receive, response, scope["method"])
        elif path == "/metrics":
            await asyncio.get_running_loop().run_in_executor(None, self._telemetry.flush)
            shown = Response(HTTPStatus.OK, self._metrics.text(), {"Content-Type": CONTENT_TYPE})
            await send_response(send, receive, identify(scope, shown), scope["method"])
        else:
            await self._answer_control_plane(scope, body, receive, self._counted(send, started))

    async def _predict(self, request: Request, receive: Receive) -> Response:
        if request.method != "POST":
            if answers_immediately(request.path):
                return self._dataplane.answer(request)
            # asks the store, whose pace can change any time
            return (await self._threads.answer(request))[0]
        response = self._predict_on_loop(request)
        if response is None:
            response, seconds = await self._predict_in_thread(request, receive)
            self._record(request, response, seconds)
        return response

    async def _predict_in_thread(self, request: Request, receive: Receive) -> Timed:
        """Answer beside the event loop; a model that runs for a client that leaves is stopped."""
        if len(request.body) > MAX_REQUEST:  # refused at once, and the rest of the body is nobody's
            return await self._threads.answer(request)
        request.cancellation = Cancellation()
        watching = asyncio.ensure_future(_cancel_when_left(receive, request.cancellation))
        try:
            return await self._threads.answer(request)
        finally:
            watching.cancel()

    def _predict_on_loop(self, request: Request) -> Response | None:
        if not self._latencies.is_quick(request.path, len(request.body)):
            return None
        started = perf_counter()
        response = self._dataplane.answer(request)
        self._record(request, response, perf_counter() - started)
        return response

    def _record(self, request: Request, response: Response, seconds: float) -> None:
        if response.status == HTTPStatus.OK or seconds > QUICK:
            self._latencies.record(request.path, seconds)

    async def _answer_control_plane(self, scope: Scope, body: bytes, receive: Receive, send: Send) -> None:
        if self._control is None:
            self._control = asyncio.get_running_loop().run_in_executor(None, self._open_control)
        control = await asyncio.shield(self._control)
        if len(body) > MAX_REQUEST:
            from onnxlet.controlplane.problem import respond

            control = respond(RequestTooLargeError(f"a request's body may have {MAX_REQUEST:,} bytes"), scope["path"])
        await control(scope, replayed(body, receive), send)

    def _open_control(self) -> Application:
        # FastAPI takes half a second to import, which whoever only predicts need not wait for.
        from onnxlet.controlplane.app import create_app
        from onnxlet.registry.registry import Registry

        return create_app(self._settings, Registry(self._store, who=self._who))

    def _counted(self, send: Send, started: float) -> Send:
        async def counting(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._metrics.count("control", message["status"], perf_counter() - started)
            await send(message)

        return counting

    async def _run_lifespan(self, receive: Receive, send: Send) -> None:
        await receive()
        loop = asyncio.get_running_loop()
        background = Background(self._telemetry)
        background.start()
        await loop.run_in_executor(None, self._predictor.preload)
        refreshing = loop.create_task(self._keep_fresh())
        await send({"type": "lifespan.startup.complete"})
        await receive()
        refreshing.cancel()
        self._threads.stop()
        await loop.run_in_executor(None, background.stop)
        await send({"type": "lifespan.shutdown.complete"})

    async def _keep_fresh(self) -> None:
        """Look at the aliases in use before that is due: answers on the event loop wait for neither store nor load."""
        while True:
            await asyncio.sleep(max(SHORTEST_PAUSE, self._settings.alias_ttl / 2))
            await asyncio.get_running_loop().run_in_executor(None, self._predictor.refresh)


def _open_totals(shared: SharedBytes) -> Watcher:
    from onnxlet.local.totals import Totals

    return Totals(shared)


def _open_request_log() -> Watcher:
    from onnxlet.telemetry.request_log import RequestLog

    return RequestLog()


async def _cancel_when_left(receive: Receive, cancellation: Cancellation) -> None:
    while (await receive())["type"] != "http.disconnect":
        continue
    cancellation.cancel()
