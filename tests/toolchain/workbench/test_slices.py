"""Slices: quarters of numbers, frequent texts, and others."""

from __future__ import annotations

import numpy as np

from onnxlet.toolchain.workbench.slices import MISSING, OTHERS, make_slicing


def test_slices_by_numbers_are_quarters_and_rare_texts_are_put_together() -> None:
    numbers = np.append(np.arange(99.0), np.nan)
    quarters = make_slicing("age", [str(number) for number in numbers], numbers)
    assert quarters.order == ("up to 24.5", "24.5 to 49", "49 to 73.5", "over 73.5", OTHERS)

    texts = make_slicing("site", ["a"] * 8 + ["b"] * 6 + ["c", "d"] + [""] * 5, None)
    assert texts.order == ("a", "b", OTHERS, MISSING)
    assert texts.values.count(OTHERS) == 2

    few = make_slicing("grade", ["10"] * 5 + ["9"] * 5, np.array([10.0] * 5 + [9.0] * 5))
    assert few.order == ("9", "10")
    flags = make_slicing(
        "smoker", ["True"] * 5 + ["False"] * 5 + [""] * 5, np.array([1.0] * 5 + [0.0] * 5 + [np.nan] * 5)
    )
    assert flags.order == ("False", "True", MISSING)

    identifiers = make_slicing("patient", [f"p{index}" for index in range(40)], None)
    assert identifiers.order == (OTHERS,)
