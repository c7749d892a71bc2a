"""Promote, rollback and history, as commands."""

from __future__ import annotations

import re

from command_line import Run, read_json
from onnxlet.registry.reading.requirements import Requirements
from onnxlet.registry.registry import Registry


def test_promote_rollback_and_history_tell_one_story(run: Run, diagnosis: str) -> None:
    assert run("promote", "diagnosis:2", "--why", "better").stdout == "diagnosis@production: 1 -> 2\n"
    assert read_json(run("rollback", diagnosis, "--why", "worse after all", "--json"))["routes"][0]["version"] == 1
    result = run("history", diagnosis, "--verify")
    assert result.exit_code == 0
    assert result.stderr == "verified: the chain of 3 entries holds\n"
    head, *lines = result.stdout.splitlines()
    assert head.split() == ["SEQUENCE", "WHEN", "WHO", "ACTION", "FROM", "TO", "WHY"]
    assert [re.split(r"\s{2,}", line.strip())[3:] for line in lines] == [
        ["promote", "-", "1"],
        ["promote", "1", "2", "better"],
        ["rollback", "2", "1", "worse after all"],
    ]
    who = read_json(run("history", diagnosis, "--json"))[-1]["who"]
    assert re.fullmatch(r"\S+@\S+", who)


def test_history_tells_what_was_forced(run: Run, registry: Registry, diagnosis: str) -> None:
    registry.require(Requirements(require_contract=True))
    assert run("promote", "diagnosis:2").exit_code == 1
    assert run("promote", "diagnosis:2", "--force", "--reason", "a trial").exit_code == 0
    assert "a trial; forced: it has no accuracy contract" in run("history", diagnosis).stdout


def test_a_broken_history_fails_verification(run: Run, registry: Registry, diagnosis: str) -> None:
    run("promote", "diagnosis:2")
    (entry,) = registry.store.list("history/")
    registry.store.put(entry.key, registry.store.get(entry.key).data.replace(b"tests", b"saint"))
    result = run("history", diagnosis, "--verify")
    assert result.exit_code == 1
    assert result.stderr.startswith("error: ")
