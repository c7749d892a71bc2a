"""What NannyML estimates of the same scores. It brings half a data platform, so only `make drift` has it."""

from __future__ import annotations

import os
import warnings

os.environ.setdefault("NML_DISABLE_USAGE_LOGGING", "1")  # it tells its makers who runs it, else

import nannyml
import pandas as pd

from onnxlet.values.tensors import Tensor

_METRICS = ("accuracy", "roc_auc", "f1")


def estimate(reference: tuple[Tensor, Tensor], live: tuple[Tensor, Tensor], window: int) -> Tensor:
    """Accuracy, AUC and F1 of each window of live scores [windows, 3], by what is known of scores with labels."""
    estimator = nannyml.CBPE(
        problem_type="classification_binary",
        y_pred_proba="score",
        y_pred="decided",
        y_true="truth",
        metrics=list(_METRICS),
        chunk_size=window,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = estimator.fit(_frame(*reference)).estimate(_frame(*live).drop(columns="truth"))
        frame = found.filter(period="analysis").to_df()
    estimates: Tensor = frame.loc[:, [(metric, "value") for metric in _METRICS]].to_numpy(dtype=float)
    return estimates


def _frame(scores: Tensor, truth: Tensor) -> pd.DataFrame:
    return pd.DataFrame({"score": scores, "decided": (scores >= 0.5).astype(int), "truth": truth.astype(int)})
