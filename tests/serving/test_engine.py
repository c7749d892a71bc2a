"""The engine: what goes through a session, what it refuses, and what stops it."""

from __future__ import annotations

import subprocess
import sys
import textwrap
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto

from models import tiny
from onnxlet.errors import DeadlineExceededError, ExecutionError, InvalidInputError, RejectedModelError
from onnxlet.serving.cancellation import Cancellation
from onnxlet.serving.engine import OnnxEngine, load_engine
from onnxlet.values.datatypes import DATATYPES
from onnxlet.values.signature import Signature, TensorSpec
from onnxlet.values.tensors import Tensor


def opened(model: onnx.ModelProto, folder: Path, *, run_deadline: float = 10, external: bool = False) -> OnnxEngine:
    files = tiny.save(model, folder, external=external)
    return load_engine(files["model.onnx"], threads=1, optimized=False, run_deadline=run_deadline)


def test_the_signature_is_the_graphs_own_with_free_dimensions_as_minus_one(tmp_path: Path) -> None:
    assert opened(tiny.embedder(), tmp_path).signature == Signature(
        inputs=(TensorSpec("ids", "INT64", (-1, -1)),), outputs=(TensorSpec("vectors", "FP32", (-1, -1, 2)),)
    )


def test_a_run_gives_all_outputs_or_those_asked_for(tmp_path: Path) -> None:
    engine = opened(tiny.two_inputs(), tmp_path)
    inputs = {"left": np.ones((1, 2), np.float32), "right": np.full((1, 2), 3, np.float32)}
    assert {name: tensor.tolist() for name, tensor in engine.run(inputs).items()} == {
        "sum": [[4.0, 4.0]],
        "difference": [[-2.0, -2.0]],
    }
    assert list(engine.run(inputs, ["difference"])) == ["difference"]


@pytest.mark.parametrize("datatype", [name for name in DATATYPES if name != "BYTES"])
def test_every_datatype_goes_through_unchanged(datatype: str, tmp_path: Path) -> None:
    dtype = DATATYPES[datatype].numpy
    kinds = {
        "BOOL": TensorProto.BOOL,
        "FP16": TensorProto.FLOAT16,
        "FP32": TensorProto.FLOAT,
        "FP64": TensorProto.DOUBLE,
    }
    kind = kinds.get(datatype) or TensorProto.DataType.Value(datatype)
    engine = opened(tiny.identity(kind, ("N", "M")), tmp_path)
    limits = [0, 1] if dtype.kind in "bf" else [np.iinfo(dtype).min, np.iinfo(dtype).max]
    sent = np.array([limits], dtype)
    got = engine.run({"x": sent})["y"]
    assert engine.signature.inputs == (TensorSpec("x", datatype, (-1, -1)),)
    assert got.dtype == dtype
    assert got.tolist() == sent.tolist()


def test_integers_of_64_bits_are_exact(tmp_path: Path) -> None:
    assert opened(tiny.integers(), tmp_path).run({"number": np.array([2**53, 2**62])})["next"].tolist() == [
        2**53 + 1,
        2**62 + 1,
    ]


def test_strings_are_objects_of_str(tmp_path: Path) -> None:
    sent = np.array(["", "Größe", "\N{GRINNING FACE}"], dtype=object)
    got = opened(tiny.strings(), tmp_path).run({"text": sent})["same"]
    assert got.dtype == object
    assert got.tolist() == sent.tolist()


def test_missing_and_unknown_inputs_are_named(tmp_path: Path) -> None:
    engine = opened(tiny.two_inputs(), tmp_path)
    with pytest.raises(InvalidInputError, match="the inputs lack 'right' and have unknown 'wrong'"):
        engine.run({"left": np.ones((1, 2), np.float32), "wrong": np.ones(1)})


@pytest.mark.parametrize(
    "tensor",
    [
        np.ones((1, 4), np.float32),
        np.ones(3, np.float32),
        np.ones((1, 3), np.float64),
        np.array([["a", "b", "c"]], dtype=object),
    ],
    ids=["shape", "rank", "datatype", "strings"],
)
def test_tensors_that_do_not_fit_are_the_callers_fault(tensor: Tensor, tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="does not take these inputs"):
        opened(tiny.classifier(), tmp_path).run({"input": tensor})


def test_strings_that_are_no_unicode_are_the_callers_fault(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError):
        opened(tiny.strings(), tmp_path).run({"text": np.array(["\ud800"], dtype=object)})


def test_weights_are_no_inputs_even_where_the_graph_lets_a_run_replace_them(tmp_path: Path) -> None:
    model = tiny.regressor()
    model.graph.input.append(onnx.helper.make_tensor_value_info("factor", TensorProto.FLOAT, []))
    engine = opened(model, tmp_path)
    row = {"input": np.ones((1, 2), np.float32)}
    assert engine.run(row)["prediction"].tolist() == [4.0]
    with pytest.raises(InvalidInputError, match="have unknown 'factor'"):
        engine.run(row | {"factor": np.array(7, np.float32)})


def test_an_unknown_output_is_the_callers_fault(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="nope"):
        opened(tiny.strings(), tmp_path).run({"text": np.array(["a"], dtype=object)}, ["nope"])


def test_an_encoder_that_knows_no_others_refuses_a_category_in_plain_words(tmp_path: Path) -> None:
    helper = onnx.helper
    encode = helper.make_node(
        "OneHotEncoder", ["ward"], ["marks"], domain="ai.onnx.ml", cats_strings=["A", "B"], zeros=0
    )
    wards = helper.make_tensor_value_info("ward", TensorProto.STRING, ["N"])
    marks = helper.make_tensor_value_info("marks", TensorProto.FLOAT, ["N", 2])
    opsets = [helper.make_opsetid("", 21), helper.make_opsetid("ai.onnx.ml", 3)]
    model = helper.make_model(helper.make_graph([encode], "g", [wards], [marks]), opset_imports=opsets, ir_version=10)
    with pytest.raises(ExecutionError, match="a row holds a category that the model was not fitted with"):
        opened(model, tmp_path).run({"ward": np.array(["A", "Z"], dtype=object)})


def test_a_token_out_of_the_vocabulary_makes_the_model_fail_not_us(tmp_path: Path) -> None:
    engine = opened(tiny.embedder(vocabulary=5), tmp_path)
    with pytest.raises(ExecutionError, match="failed on this input"):
        engine.run({"ids": np.array([[1, 5]])})
    assert engine.run({"ids": np.array([[1, 4]])})["vectors"].shape == (1, 2, 2)


def test_read_only_and_strided_arrays_are_taken(tmp_path: Path) -> None:
    engine = opened(tiny.classifier(), tmp_path)
    rows = np.arange(12, dtype=np.float32).reshape(3, 4)
    rows.setflags(write=False)
    expected = engine.run({"input": np.ascontiguousarray(rows.T)})["probabilities"]
    assert np.array_equal(engine.run({"input": rows.T})["probabilities"], expected)


@pytest.mark.parametrize("content", [b"", b"this is no model", tiny.classifier().SerializeToString()[:200]])
def test_a_file_that_is_no_model_is_rejected(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(content)
    with pytest.raises(RejectedModelError):
        load_engine(path, threads=1, optimized=False, run_deadline=1)


def test_an_absent_file_is_rejected(tmp_path: Path) -> None:
    with pytest.raises(RejectedModelError):
        load_engine(tmp_path / "model.onnx", threads=1, optimized=False, run_deadline=1)


def test_operators_of_foreign_domains_are_rejected(tmp_path: Path) -> None:
    with pytest.raises(RejectedModelError, match=r"com\.example\.evil"):
        opened(tiny.foreign(), tmp_path)


def test_outputs_that_are_no_tensors_are_rejected(tmp_path: Path) -> None:
    with pytest.raises(RejectedModelError, match="cannot be served"):
        opened(tiny.maps(), tmp_path)


@pytest.mark.parametrize("location", ["../secret.bin", "{root}/secret.bin", "link.bin", "absent.bin"])
def test_external_data_outside_the_models_folder_is_rejected(location: str, tmp_path: Path) -> None:
    (tmp_path / "secret.bin").write_bytes(bytes(16))
    (tmp_path / "version").mkdir()
    (tmp_path / "version" / "link.bin").symlink_to(tmp_path / "secret.bin")
    with pytest.raises(RejectedModelError, match="External data path"):
        opened(tiny.escaping(location.format(root=tmp_path)), tmp_path / "version")


def test_external_data_beside_the_model_is_read(tmp_path: Path) -> None:
    engine = opened(tiny.big(4), tmp_path, external=True)
    assert engine.nbytes > 4 * 2**20
    assert engine.run({"x": np.zeros((1, 1024), np.float32)})["y"].shape == (1, 1024)


def test_an_endless_loop_is_stopped_and_the_engine_goes_on(tmp_path: Path) -> None:
    engine = opened(tiny.endless(), tmp_path, run_deadline=0.2)
    started = time.monotonic()
    with pytest.raises(DeadlineExceededError, match=r"longer than 0\.2 s"):
        engine.run({"x": np.ones(1, np.float32)})
    assert 0.15 < time.monotonic() - started < 5
    assert engine.run({"x": np.zeros(1, np.float32)})["y"].tolist() == [0.0]


def test_a_cancelled_run_ends_and_the_engine_goes_on(tmp_path: Path) -> None:
    engine = opened(tiny.endless(), tmp_path, run_deadline=600)
    cancellation = Cancellation()
    with ThreadPoolExecutor(1) as pool:
        run = pool.submit(engine.run, {"x": np.ones(1, np.float32)}, cancellation=cancellation)
        while cancellation.running is None:
            time.sleep(0.01)
        cancellation.cancel()
        with pytest.raises(ExecutionError, match="nobody waits for its answer"):
            run.result(30)
    with pytest.raises(ExecutionError, match="nobody waits for its answer"):
        engine.run({"x": np.ones(1, np.float32)}, cancellation=cancellation)
    assert engine.run({"x": np.zeros(1, np.float32)}, cancellation=Cancellation())["y"].tolist() == [0.0]
    assert engine.run({"x": np.zeros(1, np.float32)})["y"].tolist() == [0.0]


def test_what_came_before_a_run_counts_towards_its_deadline(tmp_path: Path) -> None:
    engine = opened(tiny.endless(), tmp_path, run_deadline=600)
    with pytest.raises(DeadlineExceededError):
        engine.run({"x": np.ones(1, np.float32)}, due=time.monotonic() + 0.1)


def test_a_deadline_stops_its_own_run_only(tmp_path: Path) -> None:
    endless = opened(tiny.endless(), tmp_path / "endless", run_deadline=0.2)
    patient = opened(tiny.endless(), tmp_path / "patient", run_deadline=0.6)
    started = time.monotonic()

    def seconds(engine: OnnxEngine) -> float:
        with pytest.raises(DeadlineExceededError):
            engine.run({"x": np.ones(1, np.float32)})
        return time.monotonic() - started

    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(seconds, [endless, patient])
    assert first < second
    assert second > 0.55


def test_threads_share_an_engine_and_none_is_started_per_run(tmp_path: Path) -> None:
    engine = opened(tiny.regressor(2.0), tmp_path)

    def sums(number: int) -> bool:
        return all(
            engine.run({"input": np.full((2, 2), number, np.float32)})["prediction"].tolist() == [number * 4.0] * 2
            for _ in range(200)
        )

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(sums, range(8)))
    before = threading.active_count()
    sums(1)
    assert threading.active_count() == before


def test_loading_is_cancelled_at_its_deadline(tmp_path: Path) -> None:
    files = tiny.save(tiny.big(40), tmp_path)
    with pytest.raises(DeadlineExceededError, match="to load"):
        load_engine(files["model.onnx"], threads=1, optimized=False, run_deadline=1, load_deadline=0.001)


def test_a_closed_engine_lets_go(tmp_path: Path) -> None:
    engine = opened(tiny.regressor(), tmp_path)
    engine.close()
    with pytest.raises(ExecutionError, match="closed"):
        engine.run({"input": np.ones((1, 2), np.float32)})


def run_python(code: str, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", textwrap.dedent(code), *arguments],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return done.stdout + done.stderr


def test_deadlines_hold_after_a_fork(tmp_path: Path) -> None:
    files = tiny.save(tiny.endless(), tmp_path)
    said = run_python(
        """
        import multiprocessing, sys
        import numpy as np
        from onnxlet.serving.engine import load_engine
        from onnxlet.errors import DeadlineExceededError
        engine = load_engine(sys.argv[1], threads=1, optimized=False, run_deadline=0.1)
        def run():
            try:
                engine.run({"x": np.ones(1, np.float32)})
            except DeadlineExceededError:
                print("stopped", flush=True)
        child = multiprocessing.get_context("fork").Process(target=run)
        child.start()
        child.join(10)
        child.kill()
        """,
        str(files["model.onnx"]),
    )
    assert said == "stopped\n"


def test_nothing_is_written_or_said_by_the_runtime(tmp_path: Path) -> None:
    files = tiny.save(tiny.embedder(), tmp_path / "model")
    said = run_python(
        """
        import os, sys
        os.environ.pop("ORT_DISABLE_TELEMETRY", None)
        os.environ["HOME"] = sys.argv[2]
        import numpy as np
        from onnxlet.serving.engine import load_engine
        from onnxlet.errors import ExecutionError
        engine = load_engine(sys.argv[1], threads=1, optimized=False, run_deadline=1)
        try:
            engine.run({"ids": np.array([[9]])})
        except ExecutionError:
            print(os.environ["ORT_DISABLE_TELEMETRY"])
        """,
        str(files["model.onnx"]),
        str(tmp_path),
    )
    assert said == "1\n"
    assert not (tmp_path / ".cache").exists()
