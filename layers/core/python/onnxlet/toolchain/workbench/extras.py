"""Optional packages: whether they are installed, and an error that says what to install."""

from __future__ import annotations

from importlib import metadata
from importlib.util import find_spec

from onnxlet.errors import MissingExtraError


def require(extra: str, *modules: str) -> None:
    """Raise MissingExtraError unless all `modules`, which the extra brings, are installed."""
    missing = [module for module in modules if find_spec(module) is None]
    if missing:
        raise MissingExtraError(
            f"this needs {', '.join(missing)}: pip install 'onnxlet[{extra}]'", extra=extra, missing=missing
        )


def versions(*distributions: str) -> dict[str, str]:
    """Versions of the packages that are installed."""
    installed = {}
    for distribution in distributions:
        try:
            installed[distribution] = metadata.version(distribution)
        except metadata.PackageNotFoundError:
            continue
    return installed
