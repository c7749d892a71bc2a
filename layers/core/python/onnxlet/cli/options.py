"""Arguments and options that several commands share, so that they read the same everywhere."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from onnxlet.cli.output import Output
from onnxlet.errors import InvalidNameError
from onnxlet.values.keys import PRODUCTION

if TYPE_CHECKING:
    from onnxlet.values.refs import Ref

Decorated = TypeVar("Decorated", bound=Callable[..., Any])
Option = Callable[[Decorated], Decorated]
NO_COLUMN = "-"
"""Said to `--keep`: none."""


class RefType(click.ParamType["Ref"]):
    """`NAME`, `NAME:VERSION` or `NAME@ALIAS`; with `versioned` the second alone."""

    name = "ref"

    def __init__(self, *, versioned: bool = False) -> None:
        self._versioned = versioned

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Ref:  # noqa: ANN401 - click's signature
        """Read a ref; a usage error if it is none."""
        from onnxlet.values.refs import Ref, parse_ref

        if isinstance(value, Ref):
            return value
        try:
            ref = parse_ref(value)
        except InvalidNameError as error:
            self.fail(error.detail, param, ctx)
        if self._versioned and ref.version is None:
            self.fail(f"{value!r} names no version: write {ref.model}:VERSION", param, ctx)
        return ref


class NameType(click.ParamType[str]):
    """A name that `check` accepts."""

    def __init__(self, name: str, check: Callable[[str], str]) -> None:
        self.name = name
        self._check = check

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:  # noqa: ANN401 - click's signature
        """Read a name; a usage error if it cannot be one."""
        try:
            return self._check(value)
        except InvalidNameError as error:
            self.fail(error.detail, param, ctx)


class DurationType(click.ParamType[timedelta]):
    """`90s`, `30m`, `12h`, `1d` or `2w`."""

    name = "duration"
    _units = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}  # noqa: RUF012 - never changed

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> timedelta:  # noqa: ANN401 - click's signature
        """Read a duration; a usage error if it is none."""
        if isinstance(value, timedelta):
            return value
        match = re.fullmatch(r"(\d{1,6})([smhdw])", value, re.ASCII)
        if match is None:
            self.fail(f"{value!r} is no duration: write 90s, 30m, 12h, 1d or 2w", param, ctx)
        return timedelta(**{self._units[match[2]]: int(match[1])})


def _check_model(name: str) -> str:
    from onnxlet.values.refs import check_model_name

    return check_model_name(name)


def _check_alias(name: str) -> str:
    from onnxlet.values.refs import check_alias_name

    return check_alias_name(name)


MODEL = NameType("name", _check_model)
ALIAS = NameType("alias", _check_alias)


def _output(_ctx: click.Context, _param: click.Parameter, as_json: bool) -> Output:
    return Output(as_json=as_json)


def json_option(command: Decorated) -> Decorated:
    """`--json`; the command gets its Output."""
    option: Option[Decorated] = click.option(
        "--json", "output", is_flag=True, callback=_output, help="Print the data as JSON."
    )
    return option(command)


def model_argument(command: Decorated) -> Decorated:
    """A model's NAME."""
    argument: Option[Decorated] = click.argument("name", type=MODEL)
    return argument(command)


def ref_argument(command: Decorated) -> Decorated:
    """A REF: NAME, NAME:VERSION or NAME@ALIAS."""
    argument: Option[Decorated] = click.argument("ref", type=RefType())
    return argument(command)


def version_argument(command: Decorated) -> Decorated:
    """A ref that names a version: NAME:VERSION."""
    argument: Option[Decorated] = click.argument("ref", type=RefType(versioned=True), metavar="NAME:VERSION")
    return argument(command)


def alias_option(flag: str, text: str) -> Callable[[Decorated], Decorated]:
    """An alias, `production` unless said otherwise."""
    return click.option(flag, "alias", type=ALIAS, default=PRODUCTION, show_default=True, help=text)


def why_option(command: Decorated) -> Decorated:
    """`--why`, or `--reason`, for the history."""
    option: Option[Decorated] = click.option(
        "--why", "--reason", "why", default="", help="The reason, for the history."
    )
    return option(command)


def directory_argument(command: Decorated) -> Decorated:
    """A converted model's DIRECTORY."""
    kind = click.Path(exists=True, file_okay=False, path_type=Path)
    argument: Option[Decorated] = click.argument("directory", type=kind)
    return argument(command)


def _show_values(ctx: click.Context, _param: click.Parameter, shown: bool) -> None:
    if shown:
        from onnxlet.toolchain.workbench.privacy import showing_values

        ctx.with_resource(showing_values(shown=True))


def policy_option(command: Decorated) -> Decorated:
    """`--capture-policy`: what is kept of the rows that a version answers."""
    option: Option[Decorated] = click.option(
        "--capture-policy",
        "policy",
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        metavar="FILE",
        help="What is kept of the rows that the version will answer, as JSON: a rule by column and output, drop, "
        "count, hash, bucket, round or keep. Default: nothing is kept, columns are counted.",
    )
    return option(command)


def data_options(command: Decorated) -> Decorated:
    """`--data` and `--target`: held-out rows to check and measure a model with; `--show-values` of them in errors."""
    path = click.Path(exists=True, dir_okay=False, path_type=Path)
    data: Option[Decorated] = click.option(
        "--data",
        type=path,
        metavar="FILE",
        help="Rows that the model was not trained on: a CSV file with a header, or a .npz with an array per input.",
    )
    target: Option[Decorated] = click.option(
        "--target",
        multiple=True,
        metavar="COLUMN",
        help="The column, or array, of --data that the model predicts; once for each where it predicts several.",
    )
    shown: Option[Decorated] = click.option(
        "--show-values",
        is_flag=True,
        expose_value=False,
        callback=_show_values,
        help="Let errors quote values of --data. Without it they name rows and columns, since errors end in logs.",
    )
    return data(target(shown(command)))


def _choose_columns(_ctx: click.Context, _param: click.Parameter, value: tuple[str, ...]) -> tuple[str, ...] | None:
    """The columns that are named, none for `-`; None where nothing is said."""
    return tuple(name for name in value if name != NO_COLUMN) if value else None


keep_option: Option[Any] = click.option(
    "--keep",
    multiple=True,
    callback=_choose_columns,
    metavar="COLUMN",
    help="A column of the file to write again, for each of them once; `-` for none. Default: all columns.",
)
max_bad_option: Option[Any] = click.option(
    "--max-bad",
    type=click.FloatRange(0, 1),
    default=1.0,
    metavar="SHARE",
    help="The share of rows that may be bad, from 0 to 1: above it the file has failed. Default: it has where all are.",
)
