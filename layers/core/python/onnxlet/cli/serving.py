"""Commands that run the service here: the local server, and a function as Lambda would run it."""

from __future__ import annotations

import json
import sys
from contextlib import redirect_stdout
from pathlib import Path
from typing import IO

import click

from onnxlet.cli.options import json_option
from onnxlet.cli.output import Output, show_json
from onnxlet.cli.workspace import pass_workspace
from onnxlet.lifecycle.workspace import Workspace


@click.command(short_help="Serve the store over HTTP.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on; 0.0.0.0 for all.")
@click.option("--port", default=8080, show_default=True, type=click.IntRange(0, 65535), help="Port; 0 for a free one.")
@click.option(
    "--workers", default=1, show_default=True, type=click.IntRange(1), help="Processes, each with its own models."
)
@click.option(
    "--token",
    metavar="TOKEN",
    help="Ask for this bearer token. Better from ONNXLET_TOKEN: others on the machine see how a command was called.",
)
@click.option("--read-only", is_flag=True, help="Refuse to change the registry. ONNXLET_READ_ONLY says so as well.")
@click.option(
    "--allowed-host",
    "hosts",
    multiple=True,
    metavar="NAME",
    help="Another name that the server is asked under; several are given by repeating it, or in ONNXLET_ALLOWED_HOSTS.",
)
@click.option(
    "--allow-origin",
    "origins",
    multiple=True,
    metavar="ORIGIN",
    help="A site whose pages may use the server (CORS); may be repeated, or stand in ONNXLET_ALLOWED_ORIGINS.",
)
@json_option
@pass_workspace
def serve(
    workspace: Workspace,
    *,
    host: str,
    port: int,
    workers: int,
    token: str | None,
    read_only: bool,
    hosts: tuple[str, ...],
    origins: tuple[str, ...],
    output: Output,
) -> None:
    """Serve the store's models over HTTP, as the functions on Lambda do, until Ctrl-C; print the URL once it answers.

    One process answers on one core, models with several threads apart; --workers uses more cores.

    It answers to addresses, to localhost, and to the names of --host and --allowed-host. Pages of other sites cannot
    change the registry. Where other machines reach it (--host 0.0.0.0), it warns, and nobody changes the registry,
    unless it asks for a token.

    \b
    Example:
      onnxlet serve
      onnxlet serve --workers 4
      ONNXLET_TOKEN=$(openssl rand -hex 32) onnxlet serve --host 0.0.0.0 --allowed-host models.example.com
      curl http://127.0.0.1:8080/v1/models/diagnosis
    """
    from msgspec.structs import replace

    from onnxlet.local import serve as run

    def ready(url: str) -> None:
        output.show({"url": url}, url)
        output.say(f"predictions below {url}/v1/models and /v2/models, the registry at {url}/docs; Ctrl-C ends it")
        if settings.token:
            output.say("clients need its token: --token or ONNXLET_TOKEN of commands, connect(auth=…) of Python")

    settings = workspace.read_settings()
    settings = replace(
        settings,
        token=settings.token if token is None else token,
        read_only=read_only or settings.read_only,
        allowed_hosts=",".join((settings.allowed_hosts, *hosts)),
        allowed_origins=",".join((settings.allowed_origins, *origins)),
    )
    run(settings, host, port, who=workspace.who, workers=workers, on_ready=ready)


@click.command(short_help="Run a function with a Lambda event.")
@click.argument("function")
@click.argument("event", type=click.File("rb"), metavar="EVENT.json")
@click.option(
    "--memory", default=1769, show_default=True, type=click.IntRange(128, 10240), help="MB that the function has."
)
@click.option(
    "--timeout", default=30, show_default=True, type=click.IntRange(1, 900), help="Seconds that the context tells."
)
@json_option
@pass_workspace
@click.pass_context
def invoke(
    ctx: click.Context,
    workspace: Workspace,
    *,
    function: str,
    event: IO[bytes],
    memory: int,
    timeout: int,
    output: Output,
) -> None:
    """Run functions/FUNCTION/app.py with a Lambda event (`-`: stdin) and print what Lambda would return.

    An error is printed as Lambda reports it, and the exit code is 1.

    \b
    Example:
      onnxlet invoke predict tests/events/predict-http-api.json
    """
    from onnxlet.local.lambda_runtime import LambdaFunction, format_error

    path = Path("functions") / function.lower() / "app.py"
    if not path.is_file():
        raise click.UsageError(f"there is no function {function!r} here: {path} does not exist")
    try:
        document = json.load(event)
    except ValueError as error:
        raise click.UsageError(f"the event is not JSON: {error}") from error
    function_here = LambdaFunction(path, store=workspace.url, memory=memory, timeout=timeout)
    try:
        # what Lambda would take for logs and metrics must not stand beside the data
        with output.working(f"running {path}"), redirect_stdout(sys.stderr):
            answer = function_here(document)
    except Exception as error:  # noqa: BLE001 - the outermost door: whatever a handler raises, Lambda reports
        show_json(format_error(error, function_here.request_id))
        ctx.exit(1)
    show_json(answer)
