"""Retention: rows and labels go when their policies say, and nothing goes that no policy limits."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from click.testing import CliRunner

from doors import Shop
from onnxlet.cli.root import cli
from onnxlet.monitor.alarms.events import AlarmEvent
from onnxlet.monitor.capture.reading import pack
from onnxlet.monitor.capture.retention import expire
from onnxlet.monitor.watch.run import Watch
from onnxlet.store import Store, open_store
from onnxlet.values.keys import capture_key, label_key

NOW = datetime(2026, 12, 11, 8, tzinfo=UTC)


def fill(store: Store, version: int | None, *days: str) -> None:
    for day in days:
        store.put(capture_key("diagnosis", version, day, "env", 0), pack([b"{}\n"]))


def publish(store: Store, folder: Path, *policies: dict[str, Any] | None) -> None:
    shop = Shop(store, folder)
    for policy in policies:
        shop.publish_diagnosis(policy=policy)


def left(store: Store, prefix: str = "capture/") -> list[str]:
    return ["/".join(entry.key.split("/")[2:4]) for entry in store.list(prefix)]


def test_rows_go_after_the_days_of_their_own_policy(store: Store, tmp_path: Path) -> None:
    publish(store, tmp_path, {"retention_days": 10}, {"retention_days": 3}, {}, None)
    for version in (1, 2, 3, 4, 99):
        fill(store, version, "2026-11-30", "2026-12-01", "2026-12-08")
    assert len(expire(store, NOW, dry_run=True)) == 3
    assert len(left(store)) == 15
    expire(store, NOW)
    unlimited = [f"{version}/{day}" for version in (3, 4, 99) for day in ("2026-11-30", "2026-12-01", "2026-12-08")]
    assert left(store) == ["1/2026-12-01", "1/2026-12-08", "2/2026-12-08", *unlimited]
    assert expire(store, NOW) == []


def test_rows_without_a_version_go_by_the_strictest_policy_that_drops_it(store: Store, tmp_path: Path) -> None:
    anonymous: dict[str, Any] = {"version": "drop", "retention_days": 5}
    publish(store, tmp_path, anonymous, {**anonymous, "retention_days": 2}, {"retention_days": 1})
    fill(store, None, "2026-12-08", "2026-12-09")
    expire(store, NOW)
    assert left(store) == ["any/2026-12-09"]


def test_labels_go_with_the_longest_policy_of_their_model(store: Store, tmp_path: Path) -> None:
    joins: dict[str, Any] = {"outputs": {"label": "keep"}, "request_id": "keep"}
    publish(
        store, tmp_path / "1", {**joins, "retention_days": 3}, {**joins, "retention_days": 10}, {"retention_days": 1}
    )
    for stamp in ("20261130T000000Z", "20261201T000000Z"):
        store.put(label_key("diagnosis", stamp, "cafe"), pack([b"{}\n"]))
    expire(store, NOW)
    assert left(store, "labels/") == ["20261201T000000Z-cafe.jsonl.gz"]
    publish(store, tmp_path / "2", joins)
    expire(store, datetime(2027, 12, 1, tzinfo=UTC))
    assert len(left(store, "labels/")) == 1, "a policy without a limit keeps them"


def test_the_command_says_what_it_removes(tmp_path: Path, directory_url: str) -> None:
    store = open_store(directory_url)
    publish(store, tmp_path, {"retention_days": 10})
    fill(store, 1, "2020-01-01")
    result = CliRunner().invoke(cli, ["--store", directory_url, "capture", "expire", "--json"])
    assert json.loads(result.stdout)["removed"] == ["capture/diagnosis/1/2020-01-01/env-000000.jsonl.gz"]
    assert left(store) == []


def test_each_run_of_the_watch_removes_what_is_over_unless_it_has_no_time(store: Store, tmp_path: Path) -> None:
    class Deaf:
        def announce(self, _: Sequence[AlarmEvent]) -> Sequence[AlarmEvent]:
            return ()

    publish(store, tmp_path, {"retention_days": 10})
    fill(store, 1, "2026-11-30", "2026-12-05")
    watch = Watch(store, announcer=Deaf(), clock=lambda: NOW)
    assert watch.run(out_of_time=lambda: True).expired == 0
    assert watch.run().expired == 1
    assert left(store) == ["1/2026-12-05"]
    store.put("models/diagnosis/1/manifest.json", b"{}")
    assert watch.run().expired == 0, "what cannot be read is said, and fails no run"
