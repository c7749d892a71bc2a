"""Telemetry of a Lambda function: CloudWatch's metrics, and the request log if it is asked for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Protocol

from onnxlet.telemetry import log
from onnxlet.telemetry.recording import Telemetry, Watcher


class FunctionSettings(Protocol):
    """What `onnxlet.settings.Settings` says of it."""

    @property
    def function_name(self) -> str:
        """The function's name; empty outside Lambda."""

    @property
    def telemetry_rows(self) -> int:
        """Rows after which a flush is due."""

    @property
    def telemetry_seconds(self) -> float:
        """Seconds after which a flush is due."""

    @property
    def request_log(self) -> bool:
        """Whether each request gets a line."""


def observe_function(
    settings: FunctionSettings, environ: Mapping[str, str], *more: Callable[[Telemetry], Watcher]
) -> tuple[Telemetry, Callable[[], None]]:
    """What a function gathers, and what its handler calls at its end, whichever that is. `more` open further
    watchers of it.

    To be called while the function is imported, in the main thread: Lambda takes no extension later.

    Outside Lambda, where no function has a name, nothing is gathered.
    """
    if not settings.function_name:
        return Telemetry(), _do_nothing
    telemetry = Telemetry(rows=settings.telemetry_rows, seconds=settings.telemetry_seconds)
    telemetry.watch_with(partial(_open_metrics, settings.function_name))
    if settings.request_log:
        telemetry.watch_with(_open_request_log)
    for open_watcher in more:
        telemetry.watch_with(partial(open_watcher, telemetry))
    return telemetry, _attend(telemetry, environ)


def _do_nothing() -> None:
    """Nothing is to be done."""


def _attend(telemetry: Telemetry, environ: Mapping[str, str]) -> Callable[[], None]:
    """Register the extension, and return what every exit of the handler calls.

    Where there is none (Lambda's API refuses it, the function is a snapshot, whose connections end, or something plays
    Lambda that has no such API), the handler itself writes what is due.
    """
    address = environ.get("AWS_LAMBDA_RUNTIME_API")
    if not address or environ.get("AWS_LAMBDA_INITIALIZATION_TYPE") == "snap-start":
        return telemetry.flush_if_due
    from onnxlet.telemetry.extension import Extension
    from onnxlet.telemetry.runtime_api import RuntimeApi, RuntimeApiError
    from onnxlet.telemetry.shutdown import flush_on_sigterm

    try:
        extension = Extension(telemetry, RuntimeApi(address))
    except RuntimeApiError as error:
        log(__name__).warning("metrics are written before answers, for there is no extension: %s", error)
        return telemetry.flush_if_due
    flush_on_sigterm(telemetry)
    extension.start()
    return extension.answered


def _open_metrics(function: str) -> Watcher:
    from onnxlet.telemetry.embedded import EmbeddedMetrics

    return EmbeddedMetrics(function)


def _open_request_log() -> Watcher:
    from onnxlet.telemetry.request_log import RequestLog

    return RequestLog()
