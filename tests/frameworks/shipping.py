"""What the tests of every framework share: data that packages ship, and the way from a model file to an answer."""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn import datasets

from onnxlet.dataplane.dispatch import DataPlane
from onnxlet.dataplane.lambda_events import handle
from onnxlet.registry.registry import Registry
from onnxlet.serving.predictor import Predictor
from onnxlet.settings import Settings
from onnxlet.store import Store
from onnxlet.toolchain.convert import convert
from onnxlet.toolchain.prepare import prepare
from onnxlet.values.manifest import Draft, Manifest

Array = npt.NDArray[Any]
TARGET = "target"
_LOADERS = {
    "breast cancer": datasets.load_breast_cancer,
    "diabetes": datasets.load_diabetes,
    "digits": datasets.load_digits,
    "iris": datasets.load_iris,
    "wine": datasets.load_wine,
}


@dataclass(frozen=True)
class Data:
    """A table of numbers with a target, in memory and as a CSV file with a header."""

    names: list[str]
    features: Array
    target: Array
    path: Path


def real_data(name: str, folder: Path, *, rows: int | None = None, scaled: bool = False, holes: float = 0) -> Data:
    """One of scikit-learn's own data sets; `holes` is the share of values that are missing."""
    bunch = _LOADERS[name]()
    features, target = bunch.data[:rows].astype(np.float64), bunch.target[:rows]
    if scaled:
        features = (features - features.mean(axis=0)) / features.std(axis=0)
    features = np.where(np.random.default_rng(0).random(features.shape) < holes, np.nan, features)
    return table([*map(str, bunch.feature_names)], features, target, folder / f"{name}.csv")


def table(names: list[str], features: Array, target: Array, path: Path) -> Data:
    """The data, written to `path`; missing values are empty cells."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([*names, TARGET])
        for row, value in zip(features.tolist(), target.tolist(), strict=True):
            writer.writerow(["" if np.isnan(number) else number for number in row] + [value])
    return Data(names, features, target, path)


@dataclass(frozen=True)
class Shipped:
    """A converted model that production serves."""

    draft: Draft
    manifest: Manifest
    converted: Path
    dataplane: DataPlane

    def distance(self) -> float:
        """The largest relative distance from the framework's answers that the conversion measured."""
        return self.draft.evaluations[-1].metrics["largest_relative_distance"]

    def agreement(self) -> float:
        """The share of labels that are the framework's."""
        return self.draft.evaluations[-1].metrics["label_agreement"]

    def predict(self, data: Data, rows: int = 20) -> dict[str, Array]:
        """Answers to an HTTP event with the first complete rows, named by column; `rows` of them."""
        chosen = complete(data, rows)
        instances = [dict(zip(data.names, row, strict=True)) for row in chosen.tolist()]
        path = f"/v1/models/{self.manifest.model}:predict"
        event = {
            "version": "2.0",
            "rawPath": path,
            "rawQueryString": "",
            "headers": {"content-type": "application/json"},
            "requestContext": {"http": {"method": "POST", "path": path}, "stage": "$default"},
            "body": json.dumps({"instances": instances}),
            "isBase64Encoded": False,
        }
        answer = handle(self.dataplane, event, None)
        assert answer["statusCode"] == 200, answer["body"]
        predictions = json.loads(answer["body"])["predictions"]
        if not isinstance(predictions[0], dict):
            return {self.manifest.signature.outputs[0].name: np.array(predictions)}
        return {name: np.array([row[name] for row in predictions]) for name in predictions[0]}


def complete(data: Data, rows: int) -> Array:
    """The first rows that miss no value."""
    found: Array = data.features[~np.isnan(data.features).any(axis=1)][:rows]
    return found


def ship(source: Path, data: Data | Path | None, store: Store, folder: Path, **options: Any) -> Shipped:
    """Convert, prepare, publish and promote, as the command does."""
    converted, workdir = folder / "converted", folder / "prepared"
    known: dict[str, Any] = {"data": data.path, TARGET: TARGET} if isinstance(data, Data) else {"data": data}
    draft = convert(source, converted, **(known | options))
    prepared, files = prepare(converted, workdir)
    registry = Registry(store, who="toolchain")
    manifest = registry.publish("model", prepared, files)
    registry.promote("model", manifest.version)
    settings = Settings(cache_dir=str(folder / "cache"))
    return Shipped(draft, manifest, converted, DataPlane(Predictor(store, settings)))
