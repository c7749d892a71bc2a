"""Tokenizers: texts become the very ids that the library's own truncation and padding give; bad ones are refused."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onnxlet.errors import InvalidInputError, RejectedModelError, RequestTooLargeError, UnknownStepError
from onnxlet.steps import Steps, decode_steps
from onnxlet.steps.base import FLAGS, Preprocessor
from onnxlet.steps.ranges import Range, Ranges
from onnxlet.steps.token_ids import Bound, TokenIds
from onnxlet.steps.tokenizer import MOST_PLACES, Padding, Side, Tokenizer
from onnxlet.values.signature import Signature, TensorSpec
from onnxlet.values.tensors import Tensors
from wordings import FAMILIES, SENTENCES, file_of, tokenizer_of

pytest.importorskip("tokenizers", reason="needs the text extra")
from onnxlet.steps.texts.tokenizing import MOST_BYTES

NAMES = ("input_ids", "attention_mask", "token_type_ids")
GRAPH = tuple(TensorSpec(name, "INT64", (-1, -1)) for name in NAMES)
USUAL = Tokenizer(("text",), 16, mask="attention_mask", types="token_type_ids")
PAIRS = msgspec.structs.replace(USUAL, columns=("question", "context"))

words = st.sampled_from([word for text in SENTENCES for word in text.split()])
texts = st.lists(words | st.text(), max_size=30).map(" ".join)


def planned(step: Tokenizer = USUAL, family: str = "WordPiece", graph: tuple[TensorSpec, ...] = GRAPH) -> Preprocessor:
    return step.plan(graph, lambda _: file_of(family))


def column(*texts: object) -> Any:  # noqa: ANN401 - an array of objects
    made = np.empty(len(texts), dtype=object)
    made[:] = texts
    return made


def by_the_library(family: str, sent: list[Any], step: Tokenizer) -> Tensors:
    """What the library makes of the texts with its own truncation and padding."""
    padding = step.padding
    tokenizer = tokenizer_of(family)
    tokenizer.enable_truncation(step.most_tokens, strategy=step.cut, direction=step.cut_side)
    tokenizer.enable_padding(
        direction=padding.side,
        pad_id=padding.token,
        pad_type_id=padding.type,
        length=padding.length,
        pad_to_multiple_of=padding.multiple,
    )
    made = tokenizer.encode_batch(sent, add_special_tokens=step.special)
    rows = [[each.ids for each in made], [each.attention_mask for each in made], [each.type_ids for each in made]]
    return {name: np.array(each, dtype=np.int64) for name, each in zip(NAMES, rows, strict=True)}


def check_equal(got: Tensors, expected: Tensors) -> None:
    assert got.keys() == expected.keys()
    for name, tensor in expected.items():
        assert got[name].dtype == tensor.dtype
        assert np.array_equal(got[name], tensor), name


def refused(sent: Tensors, step: Tokenizer = USUAL) -> str:
    with pytest.raises((InvalidInputError, RequestTooLargeError)) as caught:
        planned(step)(sent)
    return caught.value.detail


@pytest.mark.parametrize("family", FAMILIES)
@settings(max_examples=60, deadline=None)
@given(
    st.lists(texts, min_size=1, max_size=5),
    st.sampled_from([4, 16, 400]),
    st.sampled_from(["left", "right"]),
    st.builds(
        Padding,
        token=st.integers(0, 3),
        type=st.integers(0, 1),
        side=st.sampled_from(["left", "right"]),
        multiple=st.sampled_from([1, 8]),
    ),
)
def test_texts_become_the_librarys_own_ids(
    family: str, sent: list[str], most: int, cut_side: Side, padding: Padding
) -> None:
    step = msgspec.structs.replace(USUAL, most_tokens=most, cut_side=cut_side, padding=padding)
    check_equal(planned(step, family)({"text": column(*sent)}), by_the_library(family, sent, step))


@pytest.mark.parametrize("family", FAMILIES)
@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(texts, texts), min_size=1, max_size=4), st.sampled_from([5, 16, 400]))
def test_pairs_become_the_librarys_own_ids(family: str, sent: list[tuple[str, str]], most: int) -> None:
    step = msgspec.structs.replace(PAIRS, most_tokens=most)
    questions, contexts = zip(*sent, strict=True)
    got = planned(step, family)({"question": column(*questions), "context": column(*contexts)})
    check_equal(got, by_the_library(family, sent, step))


def test_only_the_second_of_a_pair_is_cut_where_the_step_says_so() -> None:
    step = msgspec.structs.replace(PAIRS, cut="only_second", most_tokens=30)
    sent = [("no fever", SENTENCES[0] * 3)]
    got = planned(step)({"question": column("no fever"), "context": column(SENTENCES[0] * 3)})
    check_equal(got, by_the_library("WordPiece", sent, step))
    assert "does not take these texts" in refused(
        {"question": column(SENTENCES[0] * 3), "context": column("no fever")}, step
    )


def test_a_fixed_length_is_padded_to_and_special_tokens_may_be_left_out() -> None:
    step = msgspec.structs.replace(USUAL, special=False, padding=Padding(length=16))
    graph = tuple(TensorSpec(name, "INT64", (-1, 16)) for name in NAMES)
    got = planned(step, graph=graph)({"text": column("no fever", SENTENCES[0] * 9)})
    check_equal(got, by_the_library("WordPiece", ["no fever", SENTENCES[0] * 9], step))
    assert got["input_ids"].shape == (2, 16)


def test_inputs_have_the_graphs_own_datatypes_and_what_it_does_not_take_is_not_made() -> None:
    step = Tokenizer(("text",), 16, ids="tokens", mask="mask")
    graph = (TensorSpec("tokens", "INT32", (-1, -1)), TensorSpec("mask", "INT64", (-1, -1)))
    got = planned(step, graph=graph)({"text": column("no fever")})
    assert {name: tensor.dtype for name, tensor in got.items()} == {"tokens": np.int32, "mask": np.int64}


def test_texts_that_come_in_several_parts_are_padded_to_the_longest_of_all() -> None:
    step = msgspec.structs.replace(USUAL, most_tokens=400)
    sent = ["東京 " * 9_000, "no fever", SENTENCES[0] * 4, "мир " * 20_000, "pain"]
    check_equal(planned(step)({"text": column(*sent)}), by_the_library("WordPiece", sent, step))


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("\ud800", "has half of a surrogate pair"),
        ("pain \udfff", "has half of a surrogate pair"),
        (b"pain", "is no text"),
        (None, "is no text"),
        (3, "is no text"),
        ("\ufdfa" * 20_000, "has 120000 characters, the model reads 100000: send an excerpt"),
        ("a" * 100_001, "has 100001 characters, the model reads 100000: send an excerpt"),
    ],
)
def test_what_is_no_text_is_named_by_its_row(text: object, complaint: str) -> None:
    assert refused({"text": column("pain", text)}) == f"the text in row 1 of the column 'text' {complaint}" + (
        ", or its parts as texts of their own" if "excerpt" in complaint else ""
    )


def test_what_is_told_holds_nothing_of_the_text() -> None:
    assert "secret" not in refused({"text": column("secret" * 50_000)})


def test_a_text_of_very_many_tokens_is_refused_before_it_is_read_or_cut_if_it_is_short_enough() -> None:
    assert "characters" in refused({"text": column("pain " * 100_000)})
    got = planned()({"text": column("a " * 50_000)})
    assert got["input_ids"].shape == (1, 16)


def test_more_tokens_than_the_model_reads_are_refused_where_the_step_says_so() -> None:
    step = msgspec.structs.replace(USUAL, overflow="refuse")
    assert "has 18 tokens, the model reads 16: send an excerpt" in refused({"text": column("no", "a " * 16)}, step)
    assert planned(step)({"text": column("a " * 14)})["input_ids"].shape == (1, 16)


def test_texts_that_are_cut_are_flagged_where_the_step_says_so() -> None:
    step = msgspec.structs.replace(USUAL, overflow="flag")
    assert step.adds() == (TensorSpec("flags", "BYTES", (-1,)),)
    sent = ["a " * 14, "a " * 15, "", "pain " * 60]
    got = planned(step)({"text": column(*sent)})
    assert got.pop("flags").tolist() == ["", "text", "", "text"]
    check_equal(got, by_the_library("WordPiece", sent, step))
    pairs = msgspec.structs.replace(PAIRS, overflow="flag")
    got = planned(pairs)({"question": column("a", "a"), "context": column("a", "a " * 20)})
    assert got["flags"].tolist() == ["", "question, context"]


def test_flags_of_ranges_and_of_cut_texts_stand_together() -> None:
    tokenizer = msgspec.structs.replace(USUAL, most_tokens=5, overflow="flag")
    ranges = Ranges((Range("age", 0, 120, outside="flag"),))
    graph = Signature((*GRAPH, TensorSpec("age", "FP32", (-1,))), (TensorSpec("y", "FP32", (-1,)),))
    sent = {
        "text": column("a b c d e f g h", "a", "a b c d e f g h"),
        "age": np.array([130, 130, 40], np.float32),
    }
    for each in ((ranges, tokenizer), (tokenizer, ranges)):
        steps = Steps(each, lambda _: file_of("WordPiece"))
        assert [spec.name for spec in steps.outputs(graph)] == ["y", FLAGS]
        assert steps.tells == (FLAGS,)
        preprocessor = steps.preprocessor("serving_default", graph, passing=True)
        assert preprocessor is not None
        flags = [set(filter(None, flags.split(", "))) for flags in preprocessor(dict(sent))[FLAGS]]
        assert flags == [{"age", "text"}, {"age"}, {"text"}]


def test_empty_texts_are_their_special_tokens_and_refused_without() -> None:
    got = planned()({"text": column("", " ", "\0")})
    check_equal(got, by_the_library("WordPiece", ["", " ", "\0"], USUAL))
    bare = msgspec.structs.replace(USUAL, special=False)
    assert "row 1 of the column 'text' has no tokens" in refused({"text": column("pain", "")}, bare)


def test_texts_are_all_there_and_as_many_of_a_pair() -> None:
    assert refused({}) == "the column 'text' is missing"
    assert refused({"text": column()}) == "there is no text: send at least one"
    assert "all of one length" in refused({"question": column("a", "b"), "context": column("a")}, PAIRS)
    assert refused({"question": column("a")}, PAIRS) == "the column 'context' is missing"


def test_more_than_memory_is_set_aside_for_is_too_large() -> None:
    step = msgspec.structs.replace(USUAL, most_tokens=512)
    rows = MOST_PLACES // 512 + 1
    assert "send at most 128 of them" in refused({"text": column("a " * 600, *["no fever"] * (rows - 1))}, step)
    many = ["a" * 99_999] * (MOST_BYTES // 99_999 + 1)
    assert "bytes together" in refused({"text": column(*many)})
    assert planned(step)({"text": column(*["no fever"] * 2_000)})["input_ids"].shape == (2_000, 4)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="Linux tells the most memory that was used")
@pytest.mark.parametrize("family", FAMILIES)
def test_texts_of_the_most_characters_take_a_bounded_amount_of_memory(family: str, tmp_path: Path) -> None:
    code = """
import sys
from pathlib import Path
import numpy as np
from onnxlet.steps.tokenizer import Tokenizer
from onnxlet.values.signature import TensorSpec

def most():
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) / 1024

ids = TensorSpec("input_ids", "INT64", (-1, -1))
read = Tokenizer(("text",), 16).plan((ids,), lambda _: Path(sys.argv[1]).read_bytes())
read({"text": np.array(["pain"], dtype=object)})
before = most()
for text in ("a" * 100_000, "\u00e9\u4e2d" * 50_000, "\ufdfa" * 16_600, "\ud55c" * 100_000, "\U0001f600 " * 50_000):
    read({"text": np.array([text] * 4 + ["pain in the knee, "] * 9, dtype=object)})
print(most() - before)
"""
    (tmp_path / "tokenizer.json").write_bytes(file_of(family))
    command = [sys.executable, "-c", code, str(tmp_path / "tokenizer.json")]
    # what was freed goes back at once: how much of it glibc keeps differs from run to run
    frees = {"MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "65536"}
    told = subprocess.run(command, capture_output=True, text=True, check=True, env=os.environ | frees).stdout
    assert float(told) < 90, "megabytes"


def test_several_threads_may_use_it_at_once() -> None:
    read, expected = planned(), by_the_library("WordPiece", SENTENCES, USUAL)
    wrong: list[str] = []

    def ask() -> None:
        for _ in range(50):
            got = read({"text": column(*SENTENCES)})
            wrong.extend(name for name in NAMES if not np.array_equal(got[name], expected[name]))

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_a_file_that_is_no_tokenizer_rejects_the_version() -> None:
    for contents in (b"", b"{}", b"\xff", b'{"model": {"type": "BPE"}}', file_of("BPE")[:-40]):
        with pytest.raises(RejectedModelError, match=r"'tokenizer\.json' is no tokenizer"):
            USUAL.plan(GRAPH, lambda _, contents=contents: contents)  # type: ignore[misc]


@pytest.mark.parametrize(
    "graph",
    [
        (TensorSpec("input_ids", "FP32", (-1, -1)),),
        (TensorSpec("input_ids", "INT64", (-1,)),),
        (TensorSpec("input_ids", "INT64", (-1, 16)),),
        (TensorSpec("input_ids", "INT64", (4, -1)),),
    ],
)
def test_a_graph_that_takes_no_token_ids_rejects_the_version(graph: tuple[TensorSpec, ...]) -> None:
    with pytest.raises(RejectedModelError, match=r"texts become \[-1, -1\] token ids, and the graph's input is"):
        Tokenizer(("text",), 16).inputs(graph)


@pytest.mark.parametrize(
    "changed",
    [
        {"columns": []},
        {"columns": ["a", "a"]},
        {"columns": ["a", "b", "c"]},
        {"most_tokens": 0},
        {"max_characters": 10**7},
        {"overflow": "ignore"},
        {"padding": {"multiple": 0}},
        {"padding": {"side": "up"}},
    ],
)
def test_documents_that_make_no_sense_are_refused(changed: dict[str, Any]) -> None:
    with pytest.raises(UnknownStepError):
        decode_steps([{"kind": "tokenizer", "columns": ["text"], "most_tokens": 16} | changed])


def test_the_step_reads_back_from_its_document() -> None:
    step = msgspec.structs.replace(PAIRS, overflow="refuse", padding=Padding(1, 0, "left", multiple=8))
    steps = Steps((step, TokenIds((Bound("input_ids", 9),), 16)))
    assert decode_steps(json.loads(json.dumps(steps.documents))) == steps


def test_the_ways_in_are_texts_by_default_and_token_ids() -> None:
    steps = Steps((USUAL, TokenIds((Bound("input_ids", 9),))))
    assert steps.signature_names == ("serving_default", "columns", "tokens")
    assert steps.inputs("serving_default", graph()) == (TensorSpec("text", "BYTES", (-1,)),)
    assert steps.inputs("tokens", graph()) == GRAPH
    assert [column.name for column in steps.columns or ()] == ["text"]


def graph() -> Signature:
    return Signature(GRAPH, (TensorSpec("y", "FP32", (-1, 2)),))


def test_without_the_library_the_version_says_what_to_install() -> None:
    code = """
import sys
sys.modules["tokenizers"] = None
from onnxlet.errors import RejectedModelError
from onnxlet.steps import decode_steps
from onnxlet.values.signature import TensorSpec
step = decode_steps([{"kind": "tokenizer", "columns": ["text"], "most_tokens": 16}]).each[0]
try:
    step.plan((TensorSpec("input_ids", "INT64", (-1, -1)),), lambda _: b"")
except RejectedModelError as error:
    print(error.detail)
"""
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert "deploy with the parameter Media=true, or pip install 'onnxlet[text]'" in said


def test_the_library_starts_no_threads_and_no_hub_client() -> None:
    code = """
import os, sys
os.environ.pop("TOKENIZERS_PARALLELISM", None)
import onnxlet.steps.texts.tokenizing
assert os.environ["TOKENIZERS_PARALLELISM"] == "false"
assert "huggingface_hub" not in sys.modules
import onnxlet.steps
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_what_reads_texts_is_loaded_with_the_first_version_that_has_such_a_step() -> None:
    code = """
import sys, onnxlet.steps
assert {"tokenizers", "onnxlet.steps.tokenizer", "onnxlet.steps.token_ids"}.isdisjoint(sys.modules)
"""
    subprocess.run([sys.executable, "-c", code], check=True)


# --- token ids --------------------------------------------------------------------------------------------------------

BOUNDS = TokenIds((Bound("input_ids", 9), Bound("token_type_ids", 2)), 4)


@pytest.mark.parametrize("dtype", [np.int32, np.int64])
def test_token_ids_that_the_model_knows_pass_as_they_are(dtype: type) -> None:
    ids: Any = np.array([[0, 8], [3, 4]], dtype)
    sent = {"input_ids": ids, "token_type_ids": ids // 8}
    assert BOUNDS.preprocessor(GRAPH)(sent) is sent


@given(st.integers(-(2**63), 2**63 - 1).filter(lambda number: not 0 <= number < 9))
def test_token_ids_that_the_model_does_not_know_are_refused(number: int) -> None:
    ids = np.array([[0, 8], [3, number]])
    with pytest.raises(
        InvalidInputError, match="'input_ids' has a number in row 1 that the model does not know"
    ) as told:
        BOUNDS.preprocessor(GRAPH)({"input_ids": ids, "token_type_ids": ids * 0})
    assert str(number) not in told.value.detail or abs(number) < 10, "values are never told"


def test_types_that_the_model_does_not_know_and_too_many_tokens_are_refused() -> None:
    ids = np.zeros((2, 4), np.int64)
    with pytest.raises(InvalidInputError, match="'token_type_ids' has a number in row 0"):
        BOUNDS.preprocessor(GRAPH)({"input_ids": ids, "token_type_ids": ids + 2})
    with pytest.raises(InvalidInputError, match="'input_ids' has 5 tokens a row, the model reads 4"):
        BOUNDS.preprocessor(GRAPH)({"input_ids": np.zeros((2, 5), np.int64), "token_type_ids": ids})


def test_no_rows_of_token_ids_are_left_to_the_graph() -> None:
    none = np.zeros((0, 3), np.int64)
    assert BOUNDS.preprocessor(GRAPH)({"input_ids": none, "token_type_ids": none})["input_ids"].shape == (0, 3)
