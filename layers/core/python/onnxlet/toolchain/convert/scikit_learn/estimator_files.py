"""Files of estimators: joblib's pickles, which run code when they are read, and skops files, which list their types."""

from __future__ import annotations

import lzma
import pickle
import re
import struct
import warnings
import zipfile
import zlib
from pathlib import Path
from typing import Any

from onnxlet.errors import ConversionError, InvalidInputError, TrustRequiredError
from onnxlet.toolchain.workbench.extras import require
from onnxlet.toolchain.workbench.progress import Progress
from onnxlet.toolchain.workbench.table import quoted

_BROKEN = (
    # what reading a damaged or foreign pickle raises
    pickle.UnpicklingError,
    zipfile.BadZipFile,
    lzma.LZMAError,
    struct.error,
    zlib.error,
    AttributeError,
    EOFError,
    ImportError,
    IndexError,
    KeyError,
    OSError,
    TypeError,
    ValueError,
)
_CUT_OFF = re.compile("EOF|truncated|exhausted before end|ran out of")
_OWN_FILES = {
    "xgboost": "save_model('model.ubj')",
    "lightgbm": "booster_.save_model('model.txt')",
    "catboost": "save_model('model.cbm')",
}
"""Boosting libraries with estimators like scikit-learn's, and how they write files of their own."""


def load_object(path: Path, *, trust: bool, progress: Progress) -> Any:
    """Read the fitted estimator in a joblib or skops file, or that of a boosting library.

    Raises TrustRequiredError for what runs code without `trust`, ConversionError for what holds no estimator, or one of
    another scikit-learn, InvalidInputError for no file.
    """
    require("sklearn", "sklearn", "skl2onnx", "joblib")
    from sklearn.base import BaseEstimator

    if not path.is_file():
        raise InvalidInputError(f"there is no file {str(path)!r}", path=str(path))
    read = _read_skops if path.suffix == ".skops" else _read_joblib
    with warnings.catch_warnings(record=True) as caught:
        # a warning may be an error to the caller; here it is a finding
        warnings.simplefilter("always")
        try:
            estimator = read(path, trust=trust)
        except _BROKEN as error:
            _explain_missing_package(path, error.name if isinstance(error, ImportError) else None)
            if isinstance(error, EOFError | struct.error) or _CUT_OFF.search(str(error)):
                raise ConversionError(
                    f"{path.name!r} ends too early: copy it again, or save the estimator again", path=str(path)
                ) from error
            raise ConversionError(
                f"{path.name!r} cannot be read: {type(error).__name__}: {error}; is it a fitted estimator, and are the "
                "packages that it was made with installed?",
                path=str(path),
            ) from error
    _check_versions(caught, progress)
    if not isinstance(estimator, BaseEstimator) and _package(type(estimator).__module__) not in _OWN_FILES:
        raise ConversionError(f"{path.name!r} holds a {type(estimator).__name__}, no scikit-learn estimator")
    return estimator


def _explain_missing_package(path: Path, module: str | None) -> None:
    """Raise ConversionError for an estimator of a boosting library that cannot be imported here."""
    package = _package(module)
    if package in _OWN_FILES:
        raise ConversionError(
            f"{path.name!r} holds an estimator of {package}, which cannot be imported here: pip install "
            f"'onnxlet[boosting]' in the version that made it, or write it with {_OWN_FILES[package]} and give that, "
            "which loses what only the estimator knows, such as its classes",
            path=str(path),
        )


def _package(module: str | None) -> str:
    return (module or "").partition(".")[0]


def _read_joblib(path: Path, *, trust: bool) -> Any:
    import joblib

    if not trust:
        raise TrustRequiredError(
            f"{path.name!r} is a pickle, and reading a pickle runs the code in it: pass --trust if you know who made "
            "it, or save the estimator with skops.io.dump",
            path=str(path),
        )
    return joblib.load(path)


def _read_skops(path: Path, *, trust: bool) -> Any:
    require("sklearn", "skops")
    import skops.io

    untrusted = skops.io.get_untrusted_types(file=path)
    if untrusted and not trust:
        raise TrustRequiredError(
            f"{path.name!r} holds types that skops does not know as safe, and making objects of such can run code: "
            f"{quoted(untrusted)}; pass --trust if you know who made the file",
            types=list(untrusted),
        )
    return skops.io.load(path, trusted=untrusted)


def _check_versions(caught: list[warnings.WarningMessage], progress: Progress) -> None:
    """Refuse an estimator of another scikit-learn 1.x, mention one of another patch. Raises ConversionError."""
    from sklearn.exceptions import InconsistentVersionWarning

    for entry in caught:
        warning = entry.message
        if not isinstance(warning, InconsistentVersionWarning):
            continue
        was, now = warning.original_sklearn_version, warning.current_sklearn_version
        if _minor(was) != _minor(now):
            raise ConversionError(
                f"{warning.estimator_name} was saved by scikit-learn {was}, this is {now}, which may read it wrongly: "
                f"pip install 'scikit-learn=={was}', or fit and save it again",
                saved_by=was,
                installed=now,
            )
        progress(f"the estimator was saved by scikit-learn {was}, this is {now}")
        return


def _minor(version: str) -> list[str]:
    return re.split(r"[.]", version)[:2]
