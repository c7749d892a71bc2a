"""docs/drift.md, from what the parts measured."""

from __future__ import annotations

import datetime as dt
import json
import os
import platform
from collections.abc import Callable, Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from drift import errors, estimates, months, nights, power, sizes
from drift.tasks import Row, Tasks

REPOSITORY = Path(__file__).parents[2]
PAGE = REPOSITORY / "docs" / "drift.md"
MEASURED = REPOSITORY / "build" / "drift"
PARTS: dict[str, tuple[Callable[[Tasks], list[Row]], Callable[[list[Row]], Iterator[str]]]] = {
    "errors": (errors.measure, errors.page),
    "power": (power.measure, power.page),
    "months": (months.measure, months.page),
    "estimates": (estimates.measure, estimates.page),
    "sizes": (sizes.measure, sizes.page),
    "nights": (nights.measure, nights.page),
}
HEAD = """\
# Drift

Written by `make drift`: what the statistics of [monitoring](monitoring.md) can tell, and how often they err, where they
know counts by bin alone. Rows are drawn from distributions that are known; scipy, evidently and NannyML, which see
the raw values, are the witnesses. Figures of time are of a machine that had other work.
"""
_PACKAGES = ("numpy", "scipy", "evidently", "nannyml")


def measure(part: str, tasks: Tasks, folder: Path) -> None:
    """Measure a part, and keep what it found with the day and the machine."""
    rows = PARTS[part][0](tasks)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{part}.json").write_text(json.dumps({"where": _where(), "rows": rows}, indent=1) + "\n")


def write(folder: Path) -> str:
    """The page. Parts that were not measured are said to be missing."""
    lines, told = [HEAD], []
    for part, (_, page) in PARTS.items():
        path = folder / f"{part}.json"
        if not path.is_file():
            lines.append(f"## {part.capitalize()}\n\n**Not measured.**\n")
            continue
        document = json.loads(path.read_text())
        told.append(document["where"])
        lines += [*page(document["rows"]), ""]
    places = "\n".join(f"Measured on {where}." for where in dict.fromkeys(told))
    return "\n".join([lines[0], places, "", *lines[1:]]).rstrip() + "\n"


def _where() -> str:
    cpu = Path("/proc/cpuinfo")
    names = [line.split(":")[1].strip() for line in cpu.read_text().splitlines() if "model name" in line]
    today = dt.datetime.now(dt.UTC).date().isoformat()
    packages = ", ".join(f"{name} {found}" for name in _PACKAGES if (found := _version(name)))
    machine = names[0] if names else platform.machine()
    return f"{today}: {machine}, {os.cpu_count()} cores, Python {platform.python_version()}, {packages}"


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""
