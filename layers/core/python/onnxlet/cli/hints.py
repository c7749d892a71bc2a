"""What to type next, by kind of error."""

from __future__ import annotations

import errno
from collections.abc import Iterator

from onnxlet import errors

HINTS: dict[type[errors.OnnxletError], str] = {
    errors.ModelNotFoundError: "`onnxlet list` shows the models of this store; --store or ONNXLET_STORE names another",
    errors.VersionNotFoundError: "`onnxlet list NAME` shows the versions",
    errors.AliasNotFoundError: "`onnxlet list NAME` shows versions and aliases; NAME:VERSION names a version, "
    "NAME@ALIAS an alias",
    errors.ContractFailedError: "`onnxlet verify DIRECTORY` shows what was lost; --force --reason WHY goes around it",
    errors.ContractMissingError: "`onnxlet ship MODEL_FILE NAME --data FILE` judges the model and publishes it anew; "
    "--force --reason WHY goes around it",
    errors.ReferenceRefusedError: "`onnxlet ship` the model itself, a .joblib say, or give its answers, --expected "
    "FILE; --force --reason WHY goes around it",
    errors.StoreUnavailableError: "check --store or ONNXLET_STORE, the network and your AWS credentials",
    errors.AccessDeniedError: "--auth iam signs with your AWS credentials; --token or ONNXLET_TOKEN is a bearer token",
    errors.MissingExtraError: "pip install 'onnxlet[sklearn]'",
}
"""An error takes the hint of the nearest of its classes."""

DISK_FULL = frozenset((errno.ENOSPC, errno.EDQUOT))


def find_hint(error: errors.OnnxletError) -> str | None:
    """What to type next, None if nothing helps."""
    if any(isinstance(cause, OSError) and cause.errno in DISK_FULL for cause in _causes(error)):
        if "store" in error.context:
            return "make room on that disk, or name another --store"
        return None if "make room" in error.detail else "make room on that disk"
    if str(error.context.get("store", "")).startswith("file://"):
        return "check that the directory of --store or ONNXLET_STORE can be read and written, and its disk has room"
    if error.context.get("withheld"):
        return "--show-values, which lets errors quote values of the data"
    if "extra" in error.context:
        return f"pip install 'onnxlet[{error.context['extra']}]'"
    return next((HINTS[kind] for kind in type(error).__mro__ if kind in HINTS), None)


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__
