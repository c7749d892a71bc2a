"""`make drift`: each part measures, and the page is written of what they found."""

from pathlib import Path

import pytest

pytest.importorskip("scipy")

import numpy as np
from scipy import stats

from drift import months
from drift.document import PARTS, measure, write
from drift.power import ks_distance
from drift.tasks import Tasks, interval

pytestmark = pytest.mark.slow


def test_a_quick_look_has_every_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(months, "CONFIGS", {"a short one": (500, 100, 40)})
    for part in PARTS:
        measure(part, Tasks(share=0.001, quiet=True), tmp_path)
    page = write(tmp_path)
    assert "Not measured" not in page
    assert "## Performance before labels\n" in page
    for title in ("Errors of binned statistics", "Power", "False alarms of whole months", "Bytes", "Time", "Nights"):
        assert f"\n## {title}\n" in page
    for line in page.splitlines():
        assert not line.startswith("|") or line.count("|") > 3


def test_parts_that_were_not_measured_are_said_to_be_missing(tmp_path: Path) -> None:
    assert write(tmp_path).count("**Not measured.**") == len(PARTS)


def test_an_interval_of_a_share_is_wilsons() -> None:
    low, high = interval(5, 100)
    assert (round(low, 4), round(high, 4)) == (0.0215, 0.1118)  # as statsmodels' proportion_confint gives it


def test_the_distance_of_kolmogorov_and_smirnov_is_scipys() -> None:
    generator = np.random.default_rng(0)
    first, second = np.sort(generator.normal(size=500)), np.sort(generator.normal(0.2, 1, 90).round(1))
    assert ks_distance(first, second) == stats.ks_2samp(first, second).statistic
