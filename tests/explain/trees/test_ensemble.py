"""The artifact of an ensemble: written, read, and refused where it is damaged."""

from __future__ import annotations

from dataclasses import fields, replace
from io import BytesIO

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from explain.trees.ensembles import FEW, ensembles
from onnxlet.errors import IntegrityError
from onnxlet.explain.trees.ensemble import Ensemble, read_ensemble, save_ensemble


def written(ensemble: Ensemble) -> BytesIO:
    file = BytesIO()
    save_ensemble(file, ensemble)
    file.seek(0)
    return file


@FEW
@given(ensembles())
def test_what_is_written_is_read(ensemble: Ensemble) -> None:
    read = read_ensemble(written(ensemble))

    for field in fields(Ensemble):
        array = getattr(ensemble, field.name)
        assert getattr(read, field.name).dtype == array.dtype
        np.testing.assert_array_equal(getattr(read, field.name), array)


@FEW
@given(ensembles(), st.data())
def test_an_artifact_that_was_cut_off_is_refused(ensemble: Ensemble, data: st.DataObject) -> None:
    contents = written(ensemble).getvalue()
    length = data.draw(st.integers(0, len(contents) - 1))

    with pytest.raises(IntegrityError, match="tables of trees"):
        read_ensemble(BytesIO(contents[:length]))


@pytest.mark.parametrize("damage", ["children", "roots", "targets", "modes", "shares", "backwards"])
@FEW
@given(ensembles())
def test_tables_that_point_outside_of_themselves_are_refused(damage: str, ensemble: Ensemble) -> None:
    changed = {
        "children": replace(ensemble, children=ensemble.children + 1000),
        "roots": replace(ensemble, roots=ensemble.roots + 1000),
        "targets": replace(ensemble, targets=ensemble.targets + 1000),
        "modes": replace(ensemble, modes=ensemble.modes + 6),
        "shares": replace(ensemble, shares=ensemble.shares[1:]),
        "backwards": replace(ensemble, children=np.zeros_like(ensemble.children)),
    }[damage]

    with pytest.raises(IntegrityError, match="do not fit together"):
        read_ensemble(written(changed))


def test_a_file_that_is_none_is_refused() -> None:
    with pytest.raises(IntegrityError, match="tables of trees"):
        read_ensemble(BytesIO(b"PK but not more"))
