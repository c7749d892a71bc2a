"""`make drift`: measure what the statistics of monitoring can tell, and write docs/drift.md.

    python -m drift [--jobs 2] [--share 0.05] [errors] [power] [months] [estimates] [sizes] [nights]

Parts that are not named keep what was measured of them before. With a share of the replicates the page is printed, and
nothing is kept.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from tempfile import TemporaryDirectory

from drift.document import MEASURED, PAGE, PARTS, measure, write
from drift.tasks import Tasks


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(prog="drift", description="What the statistics of monitoring can tell.")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes that run side by side")
    parser.add_argument("--share", type=float, default=1.0, help="of the replicates; less than 1 only prints the page")
    parser.add_argument("parts", nargs="*", help=f"of {', '.join(PARTS)}: all, unless some are named")
    given = parser.parse_args()
    if unknown := set(given.parts) - PARTS.keys():
        parser.error(f"no such part: {', '.join(sorted(unknown))}")
    with TemporaryDirectory() as scratch:
        folder = MEASURED if given.share == 1 else Path(scratch)
        for part in given.parts or PARTS:
            measure(part, Tasks(given.jobs, given.share), folder)
        if folder == MEASURED:
            PAGE.write_text(write(folder))
        else:
            print(write(folder))  # noqa: T201 - the result


if __name__ == "__main__":
    main()
