"""Converting PyTorch: programs and modules answer as they did, and what stops them is named."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from textwrap import dedent
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from sklearn.datasets import load_breast_cancer, load_digits
from torch import nn

import trained
from drafts import tabular_of
from frameworks.conftest import Ship
from onnxlet.errors import ConversionError, InvalidInputError, MissingExtraError, TrustRequiredError
from onnxlet.serving.engine import load_engine
from onnxlet.serving.golden import check
from onnxlet.toolchain.convert import convert
from onnxlet.toolchain.convert.options import parse_input
from onnxlet.toolchain.workbench.directory import read_draft
from onnxlet.values.digests import digest
from onnxlet.values.signature import TensorSpec

pytestmark = pytest.mark.torch
torch.set_num_threads(1)

DIGITS = [str(digit) for digit in range(10)]
PERCEPTRON = """
    import torch
    from torch import nn


    class Perceptron(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layers = nn.Sequential(nn.BatchNorm1d(30), nn.Linear(30, 8), nn.GELU(), nn.Dropout(), nn.Linear(8, 2))

        def forward(self, features, temperature=1.0):
            return self.layers(features) / temperature


    def perceptron():
        return Perceptron()


    def spelled():
        return "a perceptron"


    def broken():
        raise KeyError("weights")
"""


class Digits(nn.Module):  # type: ignore[misc]
    """A small convolutional network."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(1, 8, 3)
        self.scores = nn.Linear(8 * 3 * 3, 10)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        maps = nn.functional.max_pool2d(torch.relu(self.convolution(image)), 2)
        scores: torch.Tensor = self.scores(maps.flatten(1))
        return scores


@pytest.fixture(scope="session")
def images() -> tuple[trained.Array, trained.Array]:
    digits = load_digits()
    return (digits.images[:, None] / 16).astype(np.float32), digits.target


@pytest.fixture(scope="session")
def network(images: tuple[trained.Array, trained.Array]) -> Digits:
    """A network that was trained for a few rounds."""
    torch.manual_seed(0)
    network = Digits()
    pixels, truth = (torch.from_numpy(array) for array in images)
    optimizer = torch.optim.Adam(network.parameters(), lr=0.02)
    for _ in range(60):
        optimizer.zero_grad()
        nn.functional.cross_entropy(network(pixels), truth).backward()
        optimizer.step()
    network.eval()
    return network


def program(module: nn.Module, path: Path, *rows: int, free: bool = True, shape: tuple[int, ...] = (1, 8, 8)) -> Path:
    """The module's exported program, made with so many rows."""
    dynamic = ({0: torch.export.Dim("batch")},) if free else None
    exported = torch.export.export(module.eval(), (torch.rand(*rows, *shape),), dynamic_shapes=dynamic)
    torch.export.save(exported, path)
    return path


def probabilities(module: nn.Module, pixels: trained.Array) -> trained.Array:
    with torch.no_grad():
        softmax: trained.Array = torch.softmax(module(torch.from_numpy(pixels)), dim=1).numpy()
    return softmax


@pytest.mark.parametrize("made_with", [3, 2, 1])
@pytest.mark.representative
def test_a_program_predicts_what_it_did_for_any_number_of_rows(
    tmp_path: Path, shipping: Ship, network: Digits, images: tuple[trained.Array, trained.Array], made_with: int
) -> None:
    pixels, truth = images
    data = trained.npz_of(tmp_path / "digits.npz", {"image": pixels[:301], "digit": truth[:301]})
    path = program(network, tmp_path / "digits.pt2", made_with, free=made_with > 2)

    shipped = shipping(path, data=data, target="digit", labels=DIGITS, trust=True)

    draft = shipped.draft
    assert draft.graph.inputs == (TensorSpec("image", "FP32", (-1, 1, 8, 8)),)
    assert draft.provenance.framework == "PyTorch"
    assert draft.provenance.versions["torch"] == torch.__version__
    source, onnx_ = draft.evaluations
    assert onnx_.metrics["label_agreement"] == 1.0
    assert onnx_.metrics["accuracy"] == source.metrics["accuracy"] > 0.9
    assert onnx_.metrics["largest_distance"] < 1e-5
    assert draft.golden is not None
    assert draft.golden.source == "synthetic"
    answers = shipped.dataplane.invoke({"model": "model", "instances": pixels[:5].tolist()})["predictions"]
    expected = probabilities(network, pixels[:5])
    assert [answer["label"] for answer in answers] == [DIGITS[index] for index in expected.argmax(axis=1)]
    assert np.allclose([answer["probabilities"] for answer in answers], expected, atol=1e-6)


def test_without_labels_and_data_outputs_stay_as_they_are_but_for_names(tmp_path: Path, network: Digits) -> None:
    path = program(network, tmp_path / "digits.pt2", 3)

    scan = [parse_input("scan=FP32[-1,1,8,8]")]
    draft = convert(path, tmp_path / "out", inputs=scan, outputs=["scores"], trust=True)

    assert draft.signature.inputs == tuple(scan)
    assert draft.signature.outputs == (TensorSpec("scores", "FP32", (-1, 10)),)
    assert draft.golden is not None
    assert draft.golden.source == "random"
    engine = load_engine(tmp_path / "out/model.onnx", threads=1, optimized=False, run_deadline=10)
    check(engine, read_draft(tmp_path / "out")[1], draft.golden.tolerance)
    with pytest.raises(InvalidInputError, match="takes image=FP32"):
        convert(path, tmp_path / "out", inputs=[parse_input("image=FP32[-1,1,-1,-1]")], trust=True)


def test_the_graph_forgets_the_machine_that_it_was_made_on(tmp_path: Path, network: Digits) -> None:
    convert(program(network, tmp_path / "digits.pt2", 3), tmp_path / "out", trust=True)

    written = (tmp_path / "out/model.onnx").read_bytes()

    assert b".py" not in written
    assert str(tmp_path).encode() not in written


@pytest.mark.parametrize(("name", "save"), [("weights.safetensors", save_file), ("weights.pt", torch.save)])
def test_a_module_from_a_factory_with_weights_serves_rows_of_named_columns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shipping: Ship, name: str, save: Callable[..., None]
) -> None:
    source, module, _ = perceptron(tmp_path, monkeypatch, f"nets_{Path(name).suffix[1:]}")
    cancer = load_breast_cancer()
    names = cancer.target_names.tolist()
    data = trained.csv_of(tmp_path / "cells.csv", cancer.data, cancer.target_names[cancer.target])
    save(module.state_dict(), tmp_path / name)

    shipped = shipping(source, weights=tmp_path / name, data=data, target="target", labels=names, trust=True)

    tabular = tabular_of(shipped.draft)
    assert tabular.input == "features"
    assert [column.name for column in tabular.columns] == trained.feature_names(30)
    assert shipped.draft.provenance.source_digest == digest((tmp_path / name).read_bytes())
    assert shipped.agreement() == 1.0
    instances = [dict(zip(trained.feature_names(30), row, strict=True)) for row in cancer.data[:4].tolist()]
    answers = shipped.dataplane.invoke({"model": "model", "instances": instances})["predictions"]
    expected = probabilities(module, cancer.data[:4].astype(np.float32))
    assert np.allclose([answer["probabilities"] for answer in answers], expected, atol=1e-6)
    assert [answer["label"] for answer in answers] == [names[index] for index in expected.argmax(axis=1)]


def test_inputs_and_outputs_may_be_named_and_their_sizes_freed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "nets_b.py").write_text(
        dedent("""
            import torch
            from torch import nn


            class Thumb(nn.Module):
                def __init__(self):
                    super().__init__()
                    self.convolution = nn.Conv2d(3, 4, 3)

                def forward(self, x, mask):
                    maps = self.convolution(x) * mask[:, None]
                    return maps.mean(dim=(2, 3)), {"count": mask.sum(dim=(1, 2))}
        """)
    )

    draft = convert(
        Path("nets_b:Thumb"),
        tmp_path / "out",
        inputs=[parse_input("photo=FP32[-1, 3, -1, -1]"), parse_input("mask=FP32[-1,1,1]")],
        outputs=["colour", "covered"],
        trust=True,
    )

    assert draft.graph.inputs == (TensorSpec("photo", "FP32", (-1, 3, -1, -1)), TensorSpec("mask", "FP32", (-1, 1, 1)))
    assert draft.graph.outputs == (TensorSpec("colour", "FP32", (-1, 4)), TensorSpec("covered", "FP32", (-1,)))
    engine = load_engine(tmp_path / "out/model.onnx", threads=1, optimized=False, run_deadline=10)
    for rows, height, width in ((1, 9, 5), (4, 6, 30)):
        photo = np.ones((rows, 3, height, width), dtype=np.float32)
        answer = engine.run({"photo": photo, "mask": np.ones((rows, 1, 1), dtype=np.float32)})
        assert answer["colour"].shape == (rows, 4)


def test_code_is_not_run_without_trust(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "nets_c.py").write_text("raise SystemExit('it ran')")
    (tmp_path / "model.pt2").write_bytes(b"")

    for source, said in ((Path("nets_c:net"), "importing it runs it"), (tmp_path / "model.pt2", "unpickles")):
        with pytest.raises(TrustRequiredError, match=f"{said}.*--trust"):
            convert(source, tmp_path / "out")


@pytest.mark.parametrize(
    ("name", "said"), [("missing", "no attribute 'missing'"), ("spelled", "a str"), ("broken", "KeyError: 'weights'")]
)
def test_a_factory_that_makes_no_module_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, said: str
) -> None:
    perceptron(tmp_path, monkeypatch, "nets_d")

    with pytest.raises(ConversionError, match=said):
        convert(Path(f"nets_d:{name}"), tmp_path / "out", trust=True)
    with pytest.raises(ConversionError, match="No module named 'nowhere'"):
        convert(Path("nowhere:net"), tmp_path / "out", trust=True)


def test_weights_of_another_module_and_pickles_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source, module, data = perceptron(tmp_path, monkeypatch, "nets_e")
    state = module.state_dict()
    lacking = {name: tensor for name, tensor in state.items() if name != "layers.1.bias"}
    save_file({**lacking, "head.weight": torch.ones(2)}, tmp_path / "other.safetensors")
    torch.save(module, tmp_path / "module.pt")
    (tmp_path / "broken.safetensors").write_bytes(b"{}")

    for name, said in (
        ("other.safetensors", "lack 'layers.1.bias' and have 'head.weight'"),
        ("module.pt", "'module.pt' holds more than weights, a whole module say, .* save module.state_dict"),
        ("broken.safetensors", "cannot be loaded"),
    ):
        with pytest.raises(ConversionError, match=said):
            convert(source, tmp_path / "out", weights=tmp_path / name, data=data, trust=True)
    with pytest.raises(ConversionError, match="with --weights module"):
        convert(tmp_path / "module.pt", tmp_path / "out", trust=True)


def test_a_module_whose_inputs_nobody_describes_asks_for_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source, _, data = perceptron(tmp_path, monkeypatch, "nets_f")

    with pytest.raises(InvalidInputError, match="--input features="):
        convert(source, tmp_path / "out", trust=True)
    wrong = [parse_input("features=FP32[-1,7]")]
    with pytest.raises(InvalidInputError, match=r"does not take features=FP32\[-1,7\]"):
        convert(source, tmp_path / "out", inputs=wrong, trust=True)
    with pytest.raises(InvalidInputError, match="7"):
        convert(source, tmp_path / "out", inputs=wrong, data=data, trust=True)


class Spectrum(nn.Module):  # type: ignore[misc]
    """Uses an operator that ONNX does not have."""

    def forward(self, matrix: torch.Tensor) -> torch.Tensor:
        return torch.linalg.eigvalsh(matrix)


class Branching(nn.Module):  # type: ignore[misc]
    """Decides by the values of its input."""

    def forward(self, matrix: torch.Tensor) -> torch.Tensor:
        return matrix if matrix.sum() > 0 else -matrix


class Fixing(nn.Module):  # type: ignore[misc]
    """Decides by the number of rows."""

    def forward(self, matrix: torch.Tensor) -> torch.Tensor:
        return matrix.reshape(3, -1) if matrix.shape[0] == 3 else matrix.flatten(1)


@pytest.mark.parametrize(
    ("module", "said"),
    [
        ("Spectrum", "operator 'aten._linalg_eigh'"),
        ("Branching", r"values of its inputs.*torch\.where"),
        ("Fixing", r"dimension 0 of 'matrix' a constant, 3.*--input"),
    ],
)
def test_what_stops_the_exporter_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], module: str, said: str
) -> None:
    monkeypatch.setattr(sys, "path", [str(Path(__file__).parent), *sys.path])

    with pytest.raises(ConversionError, match=said):
        convert(
            Path(f"{Path(__file__).stem}:{module}"),
            tmp_path / "out",
            inputs=[parse_input("matrix=FP32[-1,4,4]")],
            trust=True,
        )

    assert not (tmp_path / "out").exists()
    assert capfd.readouterr() == ("", "")


def test_an_export_that_changes_answers_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [str(Path(__file__).parent), *sys.path])

    with pytest.raises(ConversionError, match=r"does not answer as the model does.*example"):
        convert(
            Path(f"{Path(__file__).stem}:Counting"),
            tmp_path / "out",
            inputs=[parse_input("matrix=FP32[-1,4]")],
            trust=True,
        )


class Counting(nn.Module):  # type: ignore[misc]
    """Divides by how often it was asked, which a graph cannot know."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = 0

    def forward(self, matrix: torch.Tensor) -> torch.Tensor:
        self.asked += 1
        return matrix / self.asked


def test_other_files_are_told_from_programs(tmp_path: Path) -> None:
    (tmp_path / "model.pt2").write_bytes(b"no program")
    with pytest.raises(ConversionError, match="exported program of PyTorch"):
        convert(tmp_path / "model.pt2", tmp_path / "out", trust=True)
    module: Any = nn.Linear(2, 2)
    exported = torch.export.export(module, (torch.ones(1, 2),))
    torch.export.save(exported, tmp_path / "weighted.pt2")
    with pytest.raises(InvalidInputError, match="leave --weights out"):
        convert(tmp_path / "weighted.pt2", tmp_path / "out", weights=tmp_path / "model.pt2", trust=True)


def test_a_missing_extra_is_named(tmp_path: Path) -> None:
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "from pathlib import Path\nfrom onnxlet.toolchain.convert import convert\n"
        f"convert(Path('nets:net'), Path({str(tmp_path / 'out')!r}), trust=True)"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)

    assert MissingExtraError.__name__ in done.stderr
    assert "pip install 'onnxlet[torch]'" in done.stderr


def perceptron(folder: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> tuple[Path, nn.Module, Path]:
    """A module's factory in a file, a module of it with statistics of its own, and rows for it."""
    monkeypatch.chdir(folder)
    (folder / f"{name}.py").write_text(dedent(PERCEPTRON))
    monkeypatch.syspath_prepend(str(folder))
    torch.manual_seed(0)
    module: nn.Module = __import__(name).perceptron()
    rows = load_breast_cancer().data[:40]
    module.train()(torch.from_numpy(rows.astype(np.float32)))
    return Path(f"{name}:perceptron"), module.eval(), trained.csv_of(folder / "rows.csv", rows, None)
