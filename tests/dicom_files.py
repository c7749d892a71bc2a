"""DICOM files that tests generate, written by pydicom."""

from __future__ import annotations

import io
import warnings
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

pytest.importorskip("pydicom")
from pydicom.datadict import dictionary_VR
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import (
    UID,
    ComputedRadiographyImageStorage,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    RLELossless,
)

SYNTAXES = (ExplicitVRLittleEndian, ImplicitVRLittleEndian, RLELossless)


def stored_pixels(bits: int, *, signed: bool = False, shape: tuple[int, int] = (20, 31), seed: int = 0) -> Any:  # noqa: ANN401
    """Values of so many bits, the least and the greatest among them, with runs as in the dark around a body."""
    low, high = (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) if signed else (0, (1 << bits) - 1)
    pixels = np.random.default_rng(seed).integers(low, high + 1, shape)
    pixels[: shape[0] // 3], pixels[-1, :2] = low, high
    width = 8 if bits <= 8 else 16
    return pixels.astype(f"{'i' if signed else 'u'}{width // 8}")


def dicom_file(
    pixels: npt.NDArray[Any],
    bits: int = 0,
    syntax: UID = ExplicitVRLittleEndian,
    **values: object,
) -> bytes:
    """A file with these pixels and elements; those that are None are left out."""
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian if syntax == RLELossless else syntax
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = ComputedRadiographyImageStorage
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = UID("1.2.3.4")
    dataset.PatientName, dataset.PatientID = "Somebody^Ill", "0815"
    inner = Dataset()
    inner.Rows, inner.CodeMeaning = 7, "nested"
    deeper = Dataset()
    deeper.ViewCodeSequence = Sequence([inner])
    dataset.AnatomicRegionSequence = Sequence([deeper, inner])
    dataset["AnatomicRegionSequence"].is_undefined_length = True
    deeper.is_undefined_length_sequence_item = True
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.Rows, dataset.Columns = pixels.shape[-2:]
    dataset.BitsAllocated = 8 * pixels.itemsize
    dataset.BitsStored = bits or dataset.BitsAllocated
    dataset.HighBit = dataset.BitsStored - 1
    dataset.PixelRepresentation = int(pixels.dtype.kind == "i")
    dataset.PixelData = pixels.tobytes() + b"\0" * (pixels.nbytes % 2)
    dataset["PixelData"].VR = "OB" if pixels.itemsize == 1 else "OW"
    dataset.WindowCenter, dataset.WindowWidth = 100, 150
    if syntax == RLELossless:
        dataset.compress(RLELossless)
    for name, value in values.items():
        if value is None:
            delattr(dataset, name)
        else:
            dataset[name] = value if isinstance(value, DataElement) else DataElement(name, dictionary_VR(name), value)
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of what tests break
        dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()
