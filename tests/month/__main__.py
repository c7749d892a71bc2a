"""Live the month and say what was found when: `make month`. Exits 1 if something was found late, early, raw or
other than docs/operations.md tells.

python -m month [--docs]     with `--docs` the plots of docs/operations.md are drawn anew
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
import uuid
from pathlib import Path

import requests

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

from month.clock import DAYS, replaced_clock
from month.drawing import draw
from month.judging import Told, documented, judge, too_early
from month.nothing_raw import find_names
from month.overheard import heard_in, overheard
from month.plots import month_plots
from month.story import Month
from onnxlet.store import open_store
from s3_server import s3_server

AWS = {"AWS_REGION": "us-east-1", "AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing"}
DOCS = Path(__file__).parents[2] / "docs"
PLOTS = DOCS / "month"


def main(*, docs: bool) -> int:
    """Live it."""
    began = time.perf_counter()
    with s3_server() as endpoint, tempfile.TemporaryDirectory() as folder:
        os.environ.update(AWS | {"AWS_ENDPOINT_URL": endpoint, "AWS_DEFAULT_REGION": AWS["AWS_REGION"]})
        bucket = f"month-{uuid.uuid4().hex}"
        requests.put(f"{endpoint}/{bucket}", timeout=60).raise_for_status()
        with replaced_clock() as clock, overheard(Path(folder)):
            month = Month(f"s3://{bucket}/store", Path(folder), clock)
            for day in month.live():
                say(f"day {day} of {DAYS}")
        wrong = judge_month(month, heard_in(Path(folder)))
        if docs:
            PLOTS.mkdir(exist_ok=True)
            for name, plot in month_plots(month).items():
                (PLOTS / f"{name}.svg").write_text(draw(plot))
    print(f"{len(month.sent)} days in {time.perf_counter() - began:.0f} s: {'; '.join(wrong) or 'all is well'}")
    return bool(wrong)


def judge_month(month: Month, beside: list[tuple[str, bytes]]) -> list[str]:
    """Tell what was found when; return what is wrong. `beside` is what was said beside standard output."""
    told = judge(month.heard)
    for each in told:
        print(f"day {each.planted.day:2}: {each.planted.what}; {describe(each)}")
    early = too_early(month.heard)
    printed = "\n".join((*month.predict.lines, *month.watch.lines)).encode()
    raw = find_names(open_store(month.store), month.names(), [("standard output", printed), *beside])
    nights = documented((DOCS / "operations.md").read_text())
    return [
        *(f"not found in time: {each.planted.what}" for each in told if not each.in_time),
        *(
            f"docs/operations.md tells the night of day {nights.get(each.planted.what)}: {each.planted.what}"
            for each in told
            if nights.get(each.planted.what) != each.found
        ),
        *(f"too early: {each.kind} {each.about} in the night of day {each.night}" for each in early),
        *(f"raw: {key} holds the name {name}" for key, name in raw),
    ]


def describe(told: Told) -> str:
    """When it was found."""
    return "never found" if told.found is None else f"found in the night of day {told.found}"


def say(words: str) -> None:
    """Tell how far it is, in a terminal."""
    if sys.stdout.isatty():
        sys.stdout.write(f"\r{words} \r")
        sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(docs="--docs" in sys.argv[1:]))
