"""`python -m fault_run --seconds 600 --seed 7`: a table of what was done, and an exit code."""

from __future__ import annotations

import argparse
import secrets
import sys
import tempfile
from pathlib import Path

from fault_run.proxy import FAULTS
from fault_run.run import Outcome, run


def main() -> int:
    """Run, and say what came of it."""
    parser = argparse.ArgumentParser(prog="fault_run")
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--seed", type=int, default=secrets.randbelow(2**31))
    parser.add_argument("--folder", type=Path, help="where journals and logs stay")
    options = parser.parse_args()
    print(f"seed {options.seed}, {options.seconds:g} s", flush=True)
    with tempfile.TemporaryDirectory(prefix="onnxlet-fault-run-") as folder:
        outcome = run(options.seconds, options.seed, options.folder or Path(folder))
    print(format_outcome(outcome))
    return 0 if outcome.good else 1


def format_outcome(outcome: Outcome) -> str:
    """The table of a run, in Markdown, and below it what was wrong."""
    counts = outcome.counts
    rows = {
        "seconds, seed": f"{outcome.seconds:g}, {outcome.seed}",
        "processes killed": _list(outcome.kills),
        "requests to S3": str(outcome.faults["requests"]),
        "faults": _list({name: outcome.faults[name] for name in FAULTS}),
        "acknowledged": _list(
            {w: counts[w] for w in ("published", "moved", "deleted", "uploaded", "scored", "cleared")}
        ),
        "operations that were refused": str(counts["refused"]),
        "answers over HTTP": _list(outcome.statuses),
        "mended by hand": ", ".join(outcome.mended) or "nothing",
        "found by fsck": str(len(outcome.findings)),
        "lost, mixed or wrong": str(len(outcome.complaints)),
    }
    table = ["| what | how many |", "|---|---|", *(f"| {name} | {value} |" for name, value in rows.items())]
    undone = [f"nothing was {what}: run longer" for what in outcome.undone]
    return "\n".join([*table, *outcome.findings, *outcome.complaints, *undone])


def _list(counted: dict[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in sorted(counted.items()) if count)


if __name__ == "__main__":
    sys.exit(main())
