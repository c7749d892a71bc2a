"""DICOM files become the levels that pydicom shows, and what is not read is refused before anything is decoded."""

from __future__ import annotations

import io
import struct
import subprocess
import sys
import time
import tracemalloc
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from onnxlet.errors import InvalidInputError, UnknownStepError
from onnxlet.steps import decode_steps
from onnxlet.steps.dicom.options import Dicom
from onnxlet.steps.image import Image, Resize
from pictures import levels_of, picture, refused, written

pytest.importorskip("pydicom")
import PIL.Image
import pydicom
from pydicom.pixels.processing import apply_rescale, apply_windowing
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    RLELossless,
)

from dicom_files import SYNTAXES, dicom_file, stored_pixels

FILM = Image("pixels", color="L", dicom=Dicom(), layout="NHWC")


def shown(data: bytes) -> Any:  # noqa: ANN401 - an array
    """The levels as pydicom makes them: its own decoder, rescaling and window."""
    dataset = pydicom.dcmread(io.BytesIO(data))
    values = apply_windowing(apply_rescale(dataset.pixel_array, dataset), dataset)
    edges = np.array([0, 1]) * ((1 << dataset.BitsStored) - 1)
    if dataset.PixelRepresentation:
        edges -= 1 << (dataset.BitsStored - 1)
    low, high = edges * float(dataset.get("RescaleSlope", 1)) + float(dataset.get("RescaleIntercept", 0))
    levels = np.rint((values - low) / (high - low) * 255)
    return 255 - levels if dataset.PhotometricInterpretation == "MONOCHROME1" else levels


@pytest.mark.parametrize("syntax", SYNTAXES)
@pytest.mark.parametrize(("bits", "signed"), [(8, False), (8, True), (12, False), (12, True), (16, False), (16, True)])
@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
@pytest.mark.parametrize("function", ["LINEAR", "LINEAR_EXACT", "SIGMOID"])
def test_a_file_becomes_the_levels_that_pydicom_shows(
    syntax: Any,  # noqa: ANN401 - pydicom has no types
    bits: int,
    signed: bool,
    photometric: str,
    function: str,
) -> None:
    data = dicom_file(
        stored_pixels(bits, signed=signed),
        bits,
        syntax,
        PhotometricInterpretation=photometric,
        VOILUTFunction=function,
        RescaleSlope="1.5",
        RescaleIntercept="-10",
        WindowCenter=["40", "7"],
        WindowWidth=[str(1 << (bits - 1)), "9"],
    )
    made = levels_of(FILM, data)[0, :, :, 0]
    assert len(np.unique(made)) > 30
    assert np.array_equal(made, shown(data))


def test_a_window_of_width_one_is_a_threshold() -> None:
    data = dicom_file(stored_pixels(12), 12, WindowCenter="2000", WindowWidth="1")
    assert np.array_equal(levels_of(FILM, data)[0, :, :, 0], shown(data))


def test_values_are_the_standards_own_by_hand() -> None:
    """PS3.3 C.11.2.1.2.1: center 2048, width 4096 leaves 0 to 4095 as 0 to 1."""
    pixels = np.array([[0, 1024, 2048, 4095]], np.uint16)
    data = dicom_file(pixels, 12, WindowCenter="2048", WindowWidth="4096")
    assert levels_of(FILM, data).ravel().tolist() == [0, round(1024 / 4095 * 255), round(2048 / 4095 * 255), 255]


def test_a_step_may_say_the_window_or_take_the_range_of_the_picture() -> None:
    pixels = stored_pixels(12, signed=True) // 2
    data = dicom_file(pixels, 12, RescaleSlope="2", RescaleIntercept="100", VOILUTFunction="SIGMOID")
    said = dicom_file(pixels, 12, RescaleSlope="2", RescaleIntercept="100", WindowCenter="300", WindowWidth="900")
    fixed = msgspec.structs.replace(FILM, dicom=Dicom(window=(300.0, 900.0)))
    assert np.array_equal(levels_of(fixed, data)[0, :, :, 0], shown(said))

    ranged = levels_of(msgspec.structs.replace(FILM, dicom=Dicom(window="range")), data)[0, :, :, 0]
    spread = (pixels.astype(float) - pixels.min()) / (int(pixels.max()) - int(pixels.min()))
    assert np.array_equal(ranged, np.rint(spread * 255))
    even = dicom_file(np.full((4, 4), 7, np.uint16), 12)
    assert not levels_of(msgspec.structs.replace(FILM, dicom=Dicom(window="range")), even).any()


def test_bits_beside_the_stored_ones_are_no_part_of_a_value() -> None:
    pixels = stored_pixels(12)
    overlaid = pixels | (np.arange(pixels.size).reshape(pixels.shape) % 16 << 12).astype(np.uint16)
    clean, dirty = (dicom_file(each, 12) for each in (pixels, overlaid))
    assert np.array_equal(levels_of(FILM, clean), levels_of(FILM, dirty))


def test_levels_go_on_as_those_of_any_picture() -> None:
    step = Image("pixels", resize=Resize(exact=(9, 7)), dicom=Dicom(), scale=1 / 255)
    data = dicom_file(stored_pixels(12, shape=(40, 30)), 12, WindowCenter="2000", WindowWidth="3000")
    small = PIL.Image.fromarray(shown(data).astype(np.uint8)).resize((7, 9), PIL.Image.Resampling.BILINEAR)
    expected = np.asarray(small.convert("RGB")).transpose(2, 0, 1) / np.float32(255)
    both = levels_of(step, data, written(picture()))
    assert np.array_equal(both[0], expected.astype(np.float32))


def test_runs_that_go_on_into_the_next_row_are_read() -> None:
    """As some writers make them: one run of 128 equal bytes over two rows of 64."""
    data = dicom_file(np.zeros((2, 64), np.uint8), syntax=RLELossless, WindowCenter="128", WindowWidth="256")
    frame = pydicom.encaps.get_frame(pydicom.dcmread(io.BytesIO(data)).PixelData, 0, number_of_frames=1)
    own = struct.pack("<16I", 1, 64, *[0] * 14) + bytes([129, 90])
    dataset = pydicom.dcmread(io.BytesIO(data))
    dataset.PixelData = pydicom.encaps.encapsulate([own])
    buffer = io.BytesIO()
    dataset.save_as(buffer)
    assert len(own) < len(frame)
    assert levels_of(FILM, buffer.getvalue()).ravel().tolist() == [90] * 128


# --- what is refused --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"NumberOfFrames": 2}, "has several frames"),
        ({"PhotometricInterpretation": "RGB", "SamplesPerPixel": 3}, "has colors"),
        ({"PhotometricInterpretation": "PALETTE COLOR"}, "has colors"),
        ({"WindowCenter": None}, "without a window"),
        ({"BitsAllocated": 32, "BitsStored": 32, "HighBit": 31}, "neither 8 nor 16 bits"),
        ({"VOILUTFunction": "CUBIC"}, "unknown function"),
        ({"PixelData": None}, "no pixels that are integers"),
        ({"HighBit": 15}, "broken or cut off"),
        ({"Rows": None}, "broken or cut off"),
        ({"Rows": 0}, "broken or cut off"),
        ({"Rows": 60000, "Columns": 400}, "broken or cut off"),
        ({"Rows": 21}, "broken or cut off"),
        ({"WindowWidth": "0"}, "broken or cut off"),
        ({"RescaleSlope": "1e300"}, "broken or cut off"),
    ],
)
def test_what_is_not_read_is_refused_in_words(values: dict[str, object], words: str) -> None:
    said = refused(FILM, dicom_file(stored_pixels(12), 12, SYNTAXES[0], **values))
    assert words in said
    assert "Somebody" not in said


@pytest.mark.parametrize(
    "syntax", [JPEGBaseline8Bit, JPEG2000Lossless, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian]
)
def test_other_compressions_are_refused(syntax: Any) -> None:  # noqa: ANN401 - pydicom has no types
    data = dicom_file(stored_pixels(12), 12)
    meta = (
        struct.pack("<HH2sH", 2, 0x10, b"UI", len(ExplicitVRLittleEndian) + 1) + ExplicitVRLittleEndian.encode() + b"\0"
    )
    assert meta in data
    uid = syntax.encode() + b"\0" * (len(syntax) % 2)
    other = struct.pack("<HH2sH", 2, 0x10, b"UI", len(uid)) + uid
    assert "is compressed, or big-endian" in refused(FILM, data.replace(meta, other))


def test_a_table_of_modality_values_is_refused() -> None:
    table = pydicom.Dataset()
    table.LUTDescriptor, table.ModalityLUTType, table.LUTData = [3, 0, 16], "US", b"\1\0\2\0\3\0"
    for endless in (False, True):
        tables = pydicom.DataElement("ModalityLUTSequence", "SQ", pydicom.Sequence([table]))
        tables.is_undefined_length = endless
        data = dicom_file(stored_pixels(8), 8, ModalityLUTSequence=tables)
        assert "a table of modality values" in refused(FILM, data)


def test_a_table_in_place_of_a_window_is_refused_and_beside_one_not_needed() -> None:
    table = pydicom.Dataset()
    table.LUTDescriptor, table.LUTData = [3, 0, 16], b"\1\0\2\0\3\0"
    tables = pydicom.DataElement("VOILUTSequence", "SQ", pydicom.Sequence([table]))
    data = dicom_file(stored_pixels(12), 12, VOILUTSequence=tables, WindowCenter=None, WindowWidth=None)
    assert "with a table of levels in place of a window" in refused(FILM, data)
    beside = dicom_file(stored_pixels(12), 12, VOILUTSequence=tables)
    assert np.array_equal(levels_of(FILM, beside), levels_of(FILM, dicom_file(stored_pixels(12), 12)))


def test_a_version_that_declares_no_dicom_takes_none() -> None:
    said = refused(Image("pixels"), dicom_file(stored_pixels(12), 12))
    assert said.startswith("picture 0 is DICOM, which the model's image step does not speak of")


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_a_header_that_claims_too_much_is_refused_within_milliseconds_and_megabytes(syntax: Any) -> None:  # noqa: ANN401
    data = dicom_file(stored_pixels(16), 16, syntax, Rows=65535, Columns=65535)
    small = dicom_file(stored_pixels(16), 16, syntax, Rows=5001, Columns=5000)
    for claimed in (data, small):
        refused(FILM, claimed)
        tracemalloc.start()
        began = time.process_time()
        assert "picture 0" in refused(FILM, claimed)
        seconds, (_, peak) = time.process_time() - began, tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert seconds < 0.1  # tens of microseconds, on a machine that is not busy
        assert peak < 1_000_000


def test_an_rle_file_that_is_large_and_true_is_refused_by_its_pixels() -> None:
    """Bytes enough for what the header claims: 26 million pixels in runs."""
    data = dicom_file(np.zeros((5200, 5001), np.uint8), syntax=RLELossless)
    assert len(data) < 500_000
    assert "more than 25,000,000 pixels" in refused(FILM, data)


def test_endless_nesting_and_endless_elements_are_refused() -> None:
    head = dicom_file(stored_pixels(12), 12, ImplicitVRLittleEndian)
    at = head.index(struct.pack("<HHI", 8, 0x16, 26))
    deep = struct.pack("<HHIHHI", 8, 0x1115, 0xFFFFFFFF, 0xFFFE, 0xE000, 0xFFFFFFFF) * 100_000
    many = struct.pack("<HHI", 8, 0x18, 0) * 400_000
    for body in (deep, many):
        began = time.process_time()
        assert "broken or cut off" in refused(FILM, head[:at] + body)
        assert time.process_time() - began < 1


@settings(max_examples=400, deadline=None)
@given(st.data())
def test_whatever_is_done_to_a_file_it_is_read_or_refused(data: st.DataObject) -> None:
    original = data.draw(st.sampled_from(FILES))
    broken = bytearray(original[: data.draw(st.integers(132, len(original)))])
    for _ in range(data.draw(st.integers(0, 8))):
        broken[data.draw(st.integers(0, len(broken) - 1))] = data.draw(st.integers(0, 255))
    step = msgspec.structs.replace(FILM, dicom=Dicom(window=data.draw(st.sampled_from(["file", "range", (1.0, 2.0)]))))
    try:
        made = levels_of(step, bytes(broken))
    except InvalidInputError:
        return
    assert made.ndim == 4


FILES = [dicom_file(stored_pixels(12, signed=True, shape=(4, 5)), 12, syntax, RescaleSlope="2") for syntax in SYNTAXES]


# pydicom doubts whether a picture that happens to be compressed to its own size is compressed
@pytest.mark.filterwarnings("ignore:The number of bytes of compressed pixel data matches:UserWarning")
@settings(max_examples=60, deadline=None)
@given(
    kind=st.tuples(st.integers(2, 16), st.booleans()),
    sides=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    syntax=st.sampled_from(SYNTAXES),
    slope=st.sampled_from(["1", "0.25", "-3"]),
    window=st.tuples(st.integers(-500, 5000), st.integers(2, 9000)),
)
@example(kind=(16, False), sides=(1, 1), syntax=RLELossless, slope="1", window=(0, 2))
def test_any_window_of_any_picture_is_that_of_pydicom(
    kind: tuple[int, bool],
    sides: tuple[int, int],
    syntax: Any,  # noqa: ANN401 - pydicom has no types
    slope: str,
    window: tuple[int, int],
) -> None:
    bits, signed = kind
    pixels = stored_pixels(bits, signed=signed, shape=(40, 40))[: sides[0], : sides[1]]
    names = ("WindowCenter", "WindowWidth", "RescaleSlope", "RescaleIntercept")
    values = dict(zip(names, (*map(str, window), slope, "3"), strict=True))
    data = dicom_file(np.ascontiguousarray(pixels), bits, syntax, **values)
    # where a share falls between two levels, the last digit of either decides
    assert np.abs(levels_of(FILM, data)[0, :, :, 0] - shown(data)).max() <= 1


@pytest.mark.parametrize("window", ["all", [1.0], [1.0, 0.5], ["a", 2]])
def test_a_window_that_is_none_is_refused_when_it_is_read(window: object) -> None:
    with pytest.raises(UnknownStepError, match="cannot read"):
        decode_steps([{"kind": "image", "input": "pixels", "dicom": {"window": window}}])


def test_what_reads_dicom_is_imported_by_the_first_such_file() -> None:
    program = """
import sys
from onnxlet.steps import decode_steps
from onnxlet.values.signature import TensorSpec
(step,) = decode_steps([{"kind": "image", "input": "x", "dicom": {}}]).each
step.preprocessor((TensorSpec("x", "FP32", (-1, 3, -1, -1)),))
print(sorted({"onnxlet.steps.dicom.levels", "pydicom"} & sys.modules.keys()))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
