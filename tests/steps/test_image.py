"""The image step makes of pictures what Pillow and numpy make of them, and refuses what is none."""

from __future__ import annotations

import io
import struct
import subprocess
import sys
import time
import tracemalloc
import zlib
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import msgspec
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onnxlet.errors import InvalidInputError, RejectedModelError, UnknownStepError
from onnxlet.steps import Steps, decode_steps
from onnxlet.steps.image import Crop, Image, Resize
from onnxlet.values.signature import Signature, TensorSpec
from pictures import levels_of, picture, read, refused, written

pytest.importorskip("PIL", reason="needs the image extra")
import PIL.Image
import PIL.ImageOps

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
USUAL = Image("pixels", resize=Resize(short_side=16), crop=Crop(12, 12), scale=1 / 255, mean=MEAN, std=STD)
Array = npt.NDArray[Any]


def test_a_picture_is_resized_cropped_and_normalized_as_numpy_does_it() -> None:
    data = written(picture(40, 30), "JPEG")

    resized = read(data).resize((21, 16), PIL.Image.Resampling.BILINEAR)
    top, left = 2, round(4.5)
    expected: Array = np.asarray(resized)[top : top + 12, left : left + 12].astype(np.float32) / np.float32(255)
    expected = (expected - np.array(MEAN, np.float32)) / np.array(STD, np.float32)

    made = levels_of(USUAL, data)
    assert made.dtype == np.float32
    assert np.array_equal(made[0], expected.transpose(2, 0, 1))
    assert np.array_equal(levels_of(msgspec.structs.replace(USUAL, layout="NHWC"), data)[0], expected)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_each_format_is_read(kind: str) -> None:
    data = written(picture(), kind)
    assert np.array_equal(levels_of(Image("pixels", layout="NHWC"), data)[0], np.asarray(read(data)))


def test_pictures_come_as_bytes_or_in_base64_and_several_at_once() -> None:
    first, second = written(picture(seed=1)), written(picture(90, 20, seed=2), "JPEG")

    both = levels_of(USUAL, first, b64encode(second).decode())

    assert np.array_equal(both, np.concatenate([levels_of(USUAL, first), levels_of(USUAL, second)]))
    assert "picture 1 is not base64" in refused(USUAL, first, "no base64!")


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_picture_is_turned_as_its_exif_says(orientation: int) -> None:
    exif = PIL.Image.Exif()
    exif[0x0112] = orientation
    data = written(picture(24, 16), "JPEG", exif=exif, quality=95)
    upright = np.asarray(PIL.ImageOps.exif_transpose(PIL.Image.open(io.BytesIO(data))))

    assert np.array_equal(levels_of(Image("pixels", layout="NHWC"), data)[0], upright)


@pytest.mark.parametrize(("width", "height"), [(40, 30), (30, 40), (9, 50), (12, 12), (300, 7)])
@pytest.mark.parametrize("rounding", ["even", "down"])
def test_a_picture_that_is_smaller_than_the_crop_has_black_around_it(
    width: int, height: int, rounding: Literal["even", "down"]
) -> None:
    step = Image("pixels", crop=Crop(13, 20, rounding), layout="NHWC")
    image = picture(width, height)

    made = levels_of(step, written(image))[0]

    assert made.shape == (13, 20, 3)
    inside = made[made.any(axis=(1, 2))][:, made.any(axis=(0, 2))]
    assert inside.shape[:2] == (min(13, height), min(20, width))
    left = max(0, (width - 20) // 2 if rounding == "down" else round((width - 20) / 2))
    top = max(0, (height - 13) // 2 if rounding == "down" else round((height - 13) / 2))
    assert np.array_equal(inside, np.asarray(image)[top : top + 13, left : left + 20])


def test_a_letterbox_is_that_of_pillow() -> None:
    step = Image("pixels", resize=Resize(letterbox=(32, 48), filter="bicubic", fill=114), layout="NHWC")
    for image in (picture(100, 20), picture(20, 100)):
        expected = PIL.ImageOps.pad(image, (48, 32), PIL.Image.Resampling.BICUBIC, (114, 114, 114))
        assert np.array_equal(levels_of(step, written(image))[0], np.asarray(expected))


def test_colors_are_in_the_order_that_is_said_and_gray_is_one_channel() -> None:
    image = picture()
    data = written(image)
    exact = Resize(exact=(8, 8))

    bgr = levels_of(Image("pixels", color="BGR", resize=exact, mean=(103.939, 116.779, 123.68)), data)[0]
    gray = levels_of(Image("pixels", color="L", resize=exact, scale=1 / 127.5, mean=(1.0,)), data)[0]

    small = np.asarray(image.resize((8, 8), PIL.Image.Resampling.BILINEAR)).astype(np.float32)
    assert np.array_equal(
        bgr, small[:, :, ::-1].transpose(2, 0, 1) - np.array([103.939, 116.779, 123.68], np.float32)[:, None, None]
    )
    lit = np.asarray(image.convert("L").resize((8, 8), PIL.Image.Resampling.BILINEAR)).astype(np.float64) / 127.5
    np.testing.assert_allclose(gray[0], lit - 1, atol=1e-6)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA"])
def test_other_modes_of_eight_bits_become_what_pillow_makes_of_them(mode: str) -> None:
    data = written(picture().convert(mode))
    assert np.array_equal(levels_of(Image("pixels", layout="NHWC"), data)[0], np.asarray(read(data)))


def test_levels_may_stay_what_they_are() -> None:
    made = levels_of(Image("pixels", resize=Resize(exact=(8, 8))), written(picture()), datatype="UINT8")
    assert made.dtype == np.uint8
    assert levels_of(USUAL, written(picture()), datatype="FP16").dtype == np.float16


# --- what is refused --------------------------------------------------------------------------------------------------


def png_that_claims(width: int, height: int, *, color: int = 2, pixels: bytes = zlib.compress(b"\0" * 100)) -> bytes:
    """A PNG whose header claims a size, which nothing follows unless there are `pixels`."""

    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    header = struct.pack(">IIBBBBB", width, height, 8, color, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("width", "height"), [(50_000, 40_000), (13_000, 13_000), (5_001, 5_000), (2**31 - 1, 2**31 - 1)]
)
def test_a_header_that_claims_too_many_pixels_is_refused_before_decoding(width: int, height: int) -> None:
    began = time.process_time()
    said = refused(USUAL, png_that_claims(width, height))
    assert said.startswith("picture 0 has more than 25,000,000 pixels") or "is broken" in said
    assert time.process_time() - began < 1


def test_many_pixels_in_few_bytes_are_refused_before_they_are_decoded() -> None:
    """A true picture of 169 megapixels, of which Pillow only warns."""
    packed = zlib.compressobj(9)
    line = b"\0" * 13_001
    pixels = b"".join(packed.compress(line * 100) for _ in range(130)) + packed.flush()
    data = png_that_claims(13_000, 13_000, color=0, pixels=pixels)
    assert len(data) < 170_000
    tracemalloc.start()
    assert refused(USUAL, data).startswith("picture 0 has more than 25,000,000 pixels")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2**20


def test_a_step_may_take_fewer_pixels_and_a_request_four_pictures_of_them() -> None:
    step = msgspec.structs.replace(USUAL, max_pixels=1200)
    fits = written(picture(40, 30))

    assert levels_of(step, *[fits] * 4).shape == (4, 3, 12, 12)
    assert "picture 0 has more than 1,200 pixels" in refused(step, written(picture(41, 30)))
    assert "more than 4,800 pixels together" in refused(step, *[fits] * 5)


def test_more_pictures_than_the_memory_of_a_request_holds_are_refused() -> None:
    step = Image("pixels", resize=Resize(exact=(224, 224)))
    data = written(picture(2, 2))

    assert "56 pictures were sent, and at most 55" in refused(step, *[data] * 56)
    assert "2 pictures were sent, and at most 1" in refused(Image("pixels"), data, data)
    assert "no picture" in refused(step)


@pytest.mark.parametrize("size", [(1, 200_000), (200_000, 1)])
def test_a_strip_that_would_grow_beyond_bounds_is_refused(size: tuple[int, int]) -> None:
    image = PIL.Image.new("RGB", size)
    assert "too long and narrow" in refused(Image("pixels", resize=Resize(short_side=224)), written(image))


@pytest.mark.parametrize(("kind", "mode"), [("PNG", "I;16"), ("TIFF", "I;16"), ("TIFF", "I"), ("TIFF", "F")])
def test_sixteen_bits_are_refused_and_not_clipped(kind: str, mode: str) -> None:
    image = PIL.Image.fromarray(np.arange(600, dtype=np.uint16).reshape(20, 30) * 100)
    deep = image if mode == "I;16" else image.convert("I").convert(mode)
    assert "more than 8 bits a channel" in refused(USUAL, written(deep, kind))


def test_colors_that_need_a_profile_are_refused() -> None:
    assert "picture 0 is in CMYK" in refused(USUAL, written(picture(mode="CMYK"), "JPEG"))


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF"])
def test_several_frames_or_pages_are_refused(kind: str) -> None:
    data = written(picture(), kind, save_all=True, append_images=[picture(seed=1)])
    assert "several frames or pages" in refused(USUAL, data)


@pytest.mark.parametrize("kind", ["GIF", "BMP", "ICO", "PPM", "EPS"])
def test_no_other_decoder_is_open(kind: str) -> None:
    assert refused(USUAL, written(picture(), kind)) == "picture 0 is no JPEG, PNG, WebP or TIFF"


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("share", [0.2, 0.5, 0.95])
def test_a_picture_that_is_cut_off_is_refused(kind: str, share: float) -> None:
    data = written(picture(200, 150), kind)
    assert f"picture 0 is broken or cut off: it cannot be decoded as {kind}" in refused(
        USUAL, data[: int(len(data) * share)]
    )


@pytest.mark.parametrize(
    "sent", [b"", b"\xff\xd8\xff", b"RIFF", b"II*\0", b"MM\0*\0\0\0\x08", b"\x89PNG\r\n\x1a\n", "", b"hello"]
)
def test_what_only_begins_as_a_picture_is_refused(sent: bytes | str) -> None:
    assert refused(USUAL, sent).startswith("picture 0 is ")


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_whatever_is_done_to_a_file_it_is_read_or_refused(data: st.DataObject) -> None:
    original = data.draw(st.sampled_from(FILES))
    broken = bytearray(original[: data.draw(st.integers(0, len(original)))])
    for _ in range(data.draw(st.integers(0, 8))):
        if broken:
            broken[data.draw(st.integers(0, len(broken) - 1))] = data.draw(st.integers(0, 255))
    try:
        made = levels_of(USUAL, bytes(broken))
    except InvalidInputError:
        return
    assert made.shape == (1, 3, 12, 12)
    assert np.isfinite(made).all()


def _files() -> Iterator[bytes]:
    for kind in ("JPEG", "PNG", "WEBP", "TIFF"):
        yield written(picture(24, 20), kind)
    yield written(picture(24, 20).convert("P"), "PNG", transparency=3)
    yield written(picture(24, 20), "TIFF", compression="tiff_lzw")
    yield written(picture(24, 20), "TIFF", compression="jpeg")
    yield written(picture(24, 20), "WEBP", lossless=True)
    yield written(picture(24, 20), "JPEG", progressive=True)
    yield written(picture(24, 20, "RGBA"), "WEBP")
    yield written(picture(24, 20), "PNG", save_all=True, append_images=[picture(24, 20, seed=1)])
    for compression in ("tiff_adobe_deflate", "packbits"):
        yield written(picture(24, 20), "TIFF", compression=compression)
    turned = PIL.Image.Exif()
    turned[0x0112], turned[0x010F] = 6, "maker"
    for kind in ("JPEG", "PNG", "WEBP"):
        yield written(picture(24, 20), kind, exif=turned)


FILES = list(_files())


# --- what is validated when it is written -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "document",
    [
        {"resize": {}},
        {"resize": {"short_side": 8, "exact": [8, 8]}},
        {"resize": {"exact": [0, 8]}},
        {"resize": {"letterbox": [8, 5000]}},
        {"resize": {"short_side": 8, "filter": "draft"}},
        {"resize": {"short_side": 8, "fill": 256}},
        {"crop": {"height": 0, "width": 4}},
        {"crop": {"height": 4, "width": 4, "rounding": "up"}},
        {"mean": [0.5]},
        {"std": [1.0, 1.0, 0.0]},
        {"color": "CMYK"},
        {"layout": "CHW"},
        {"max_pixels": 0},
        {"formats": ["GIF"]},
    ],
)
def test_a_step_that_makes_no_sense_is_refused_when_it_is_read(document: dict[str, Any]) -> None:
    with pytest.raises(UnknownStepError, match="cannot read"):
        decode_steps([{"kind": "image", "input": "pixels", **document}])


def test_a_step_is_data_that_comes_back_as_it_was_written() -> None:
    documents = Steps((USUAL,)).documents
    assert documents[0]["resize"] == {"short_side": 16}
    assert decode_steps(documents).each == (USUAL,)


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        (TensorSpec("pixels", "FP32", (-1, 3, 224, 224)), "pictures become"),
        (TensorSpec("pixels", "FP32", (-1, 12, 12, 3)), "pictures become"),
        (TensorSpec("pixels", "FP32", (-1, 30)), "pictures become"),
        (TensorSpec("pixels", "UINT8", (-1, 3, 12, 12)), "scaled levels are no UINT8"),
        (TensorSpec("others", "FP32", (-1, 3, 12, 12)), "'pixels', which the graph lacks"),
    ],
)
def test_a_step_that_does_not_fit_its_graph_is_refused(spec: TensorSpec, said: str) -> None:
    graph = Signature((spec,), (TensorSpec("y", "FP32", (-1,)),))
    with pytest.raises(RejectedModelError, match=said):
        Steps((USUAL,)).check(graph, graph)


def test_pillow_is_imported_by_a_version_that_reads_pictures_and_by_no_other() -> None:
    program = """
import sys
from onnxlet.steps import decode_steps
from onnxlet.values.signature import TensorSpec
decode_steps([{"kind": "finite", "columns": ["x"]}])
assert not {"PIL", "onnxlet.steps.image"} & sys.modules.keys()
(step,) = decode_steps([{"kind": "image", "input": "x"}]).each
assert "PIL" not in sys.modules
specs = (TensorSpec("x", "FP32", (-1, 3, -1, -1)),)
sys.modules["PIL"] = None
try:
    step.preprocessor(specs)
except Exception as error:
    print(type(error).__name__, error)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2]
    )
    assert "RejectedModelError the version reads pictures, and Pillow is not installed here" in done.stdout
    assert "pip install 'onnxlet[image]'" in done.stdout


@pytest.mark.slow
@pytest.mark.parametrize(
    ("step", "most"), [({"resize": {"exact": [64, 64]}}, 10), ({}, 20), ({"dicom": {"window": "range"}}, 22)]
)
def test_memory_is_bounded_by_pixels_as_the_docs_say(step: dict[str, Any], most: int, tmp_path: Path) -> None:
    """Peak of resident memory over that before: 4 million pixels, in a process of their own."""
    side = 2000
    if "dicom" in step:
        pytest.importorskip("pydicom")
        from dicom_files import SYNTAXES, dicom_file

        data = dicom_file(np.arange(side * side, dtype=np.uint16).reshape(side, side), syntax=SYNTAXES[2])
    else:
        data = written(picture(side, side), "JPEG")
    (tmp_path / "picture").write_bytes(data)
    program = f"""
import numpy as np
from pathlib import Path
from onnxlet.steps import decode_steps
from onnxlet.values.signature import TensorSpec
(step,) = decode_steps([{{"kind": "image", "input": "x", **{step!r}}}]).each
read = step.preprocessor((TensorSpec("x", "FP32", (-1, 3, -1, -1)),))
sent = {{"image_bytes": np.array([Path({str(tmp_path / "picture")!r}).read_bytes()], dtype=object)}}
Path("/proc/self/clear_refs").write_text("5")
peak = lambda: int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]) * 1024
before = peak()
read(sent)
print((peak() - before) / {side * side})
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert float(done.stdout) < most
