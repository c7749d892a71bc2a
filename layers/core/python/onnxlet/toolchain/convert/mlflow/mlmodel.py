"""MLmodel: the file that tells which flavours a directory has, what the model takes, and where the rest lies.

The format is that of https://mlflow.org/docs/latest/ml/model (MLmodel file, signature, input example).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from onnxlet.errors import ConversionError
from onnxlet.toolchain.workbench.extras import require

MLMODEL = "MLmodel"


class Flavour(NamedTuple):
    """A flavour that is converted."""

    key: str
    """The entry that names its file or folder."""
    file: str = ""
    """The file within the folder, where it names a folder."""


FLAVOURS = {
    "sklearn": Flavour("pickled_model"),
    "xgboost": Flavour("data"),
    "lightgbm": Flavour("data"),
    "catboost": Flavour("data"),
    "onnx": Flavour("data"),
    "pytorch": Flavour("model_data", "model.pt2"),
    "transformers": Flavour("model_binary", "config.json"),
}
"""Those that are converted, by name."""
COMPONENTS = "components"
"""The folder of a pipeline's tokenizer and processors, each in a folder of its own."""


@dataclass(frozen=True)
class MLmodel:
    """What the file says."""

    directory: Path
    document: dict[str, Any]

    @property
    def version(self) -> str:
        """The MLflow that wrote it."""
        return str(self.document.get("mlflow_version", ""))

    def model_file(self) -> Path:
        """The file with the model. Raises ConversionError for flavours that are not converted, and no such file."""
        name = self._flavour()
        flavour, entry = FLAVOURS[name], self.document["flavors"][name]
        folder = self._path(entry.get(flavour.key))
        path = folder / flavour.file if flavour.file else folder
        if path.is_file():
            return path
        if name == "pytorch" and folder.is_dir():
            raise ConversionError(
                f"{self.directory.name!r} holds a pickled PyTorch module, and of this flavour only exported programs "
                "are converted: save it with mlflow.pytorch.save_model(module, path, serialization_format='pt2', "
                "input_example=...), or give the module to onnxlet.convert in Python"
            )
        raise ConversionError(f"{self.directory.name!r} lacks {str(path.relative_to(self.directory))!r}: copy it again")

    def component_folders(self) -> tuple[Path, ...]:
        """The folders of what a pipeline of transformers has beside its model: its tokenizer, say."""
        named = self.document["flavors"][self._flavour()].get("components") or ()
        found = (self._path(f"{COMPONENTS}/{name}") for name in named)
        return tuple(folder for folder in found if folder.is_dir())

    def code_folder(self) -> Path | None:
        """The folder of the user's own modules that the model needs, if it came with some."""
        code = self.document["flavors"][self._flavour()].get("code")
        return self._path(code) if code else None

    def needs_cloudpickle(self) -> bool:
        """Whether the model was pickled by cloudpickle."""
        return bool(self.document["flavors"][self._flavour()].get("serialization_format") == "cloudpickle")

    def column_names(self) -> tuple[str, ...] | None:
        """The columns that the signature lists; None where it lists none, or tensors."""
        columns = self._columns()
        names = tuple(str(column["name"]) for column in columns if column.get("type") != "tensor" and "name" in column)
        return names if names and len(names) == len(columns) else None

    def boolean_columns(self) -> frozenset[str]:
        """Those that are of truth values."""
        return frozenset(str(each.get("name")) for each in self._columns() if each.get("type") == "boolean")

    def optional_columns(self) -> tuple[str, ...]:
        """Those that a row may leave out."""
        return tuple(str(each.get("name")) for each in self._columns() if each.get("required") is False)

    def _columns(self) -> list[dict[str, Any]]:
        return list(json.loads((self.document.get("signature") or {}).get("inputs") or "[]"))

    def input_example(self) -> Any:
        """The rows of the input example as a DataFrame; None where there are none, or no columns."""
        info = self.document.get("saved_input_example_info") or {}
        path = self._path(info.get("artifact_path"))
        if info.get("type") != "dataframe" or not path.is_file():
            return None
        import pandas as pd

        example = json.loads(path.read_text(encoding="utf-8"))
        if info.get("pandas_orient", "split") != "split":
            return pd.DataFrame(example)
        return pd.DataFrame(example["data"], columns=example.get("columns") or self.column_names())

    def _flavour(self) -> str:
        flavours = self.document["flavors"]
        for name in FLAVOURS:
            if name in flavours:
                return name
        others = [name for name in flavours if name != "python_function"]
        if not others:
            loader = flavours.get("python_function", {}).get("loader_module", "")
            others = [f"python_function, loaded by {loader}" if loader else "python_function"]
        raise ConversionError(
            f"{self.directory.name!r} is an MLflow model of flavour {', '.join(others)}, which is not converted; known "
            f"are {', '.join(FLAVOURS)}: give the model's own file or directory within it, or save it in one of these",
            flavours=list(flavours),
        )

    def _path(self, name: object) -> Path:
        """A path within the directory. Raises ConversionError for one that leads out of it."""
        path = (self.directory / str(name or "")).resolve()
        if not path.is_relative_to(self.directory.resolve()):
            raise ConversionError(f"{self.directory.name!r} names a file outside of itself, {str(name)!r}")
        return self.directory / str(name or "")


def read_mlmodel(directory: Path) -> MLmodel:
    """Read the MLmodel file. Raises ConversionError for what is none, MissingExtraError without PyYAML."""
    require("mlflow", "yaml")
    import yaml

    try:
        document = yaml.safe_load((directory / MLMODEL).read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConversionError(
            f"the MLmodel file in {directory.name!r} is no YAML, or not all of it: {error}"
        ) from error
    if not isinstance(document, dict) or not isinstance(document.get("flavors"), dict):
        raise ConversionError(f"the MLmodel file in {directory.name!r} lists no flavors: copy the directory again")
    return MLmodel(directory, document)
