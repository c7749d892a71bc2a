"""Promote, rollback and history, as commands."""

from __future__ import annotations

import json
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


def test_promoting_what_is_promoted_changes_nothing_and_says_so(run: Run, registry: Registry, diagnosis: str) -> None:
    before = registry.alias(diagnosis)

    again = run("promote", "diagnosis:1", "--why", "once more")

    assert (again.exit_code, again.stderr) == (0, "")
    assert re.fullmatch(
        r"diagnosis@production: routes to 1 already, since 20\S+Z by tests; nothing was written\n", again.stdout
    )
    assert read_json(run("promote", "diagnosis:1", "--json"))["changed"] is False
    assert registry.alias(diagnosis) == before
    moved = read_json(run("promote", "diagnosis:2", "--json"))
    assert (moved["changed"], moved["sequence"]) == (True, 2)


def test_a_version_whose_graph_is_gone_is_not_promoted(run: Run, registry: Registry, diagnosis: str) -> None:
    registry.store.delete("models/diagnosis/2/model.onnx")

    refused = run("promote", "diagnosis:2", "--force", "--reason", "urgent")

    assert refused.exit_code == 1
    assert "error: 'diagnosis:2' is damaged: 'models/diagnosis/2/model.onnx' is gone" in refused.stderr
    assert len(registry.history(diagnosis)) == 1


def test_history_tells_what_was_forced(run: Run, registry: Registry, diagnosis: str) -> None:
    registry.require(Requirements(require_contract=True))
    assert run("promote", "diagnosis:2").exit_code == 1
    assert run("promote", "diagnosis:2", "--force", "--reason", "a trial").exit_code == 0
    assert "a trial; forced: it has no accuracy contract" in run("history", diagnosis).stdout


def test_control_characters_of_old_entries_are_printed_escaped(run: Run, registry: Registry, diagnosis: str) -> None:
    forged = "fine\n9         2026-01-01  root  promote\x1b[1A\x9b2K\u202e"
    key = "aliases/diagnosis/production.json"
    document = json.loads(registry.store.get(key).data)
    document["entry"] |= {"why": forged, "who": "eve\r"}
    registry.store.put(key, json.dumps(document).encode())
    printed = run("history", diagnosis).stdout
    assert len(printed.splitlines()) == 2
    assert printed.endswith(r"fine\u000a9         2026-01-01  root  promote\u001b[1A\u009b2K\u202e" + "\n")
    assert r"eve\u000d" in printed
    result = run("history", diagnosis, "--json")
    assert not set(result.stdout) & set("\r\x1b\x9b\u202e")
    assert read_json(result)[0]["why"] == forged


def test_a_reason_with_a_control_character_is_refused(run: Run, diagnosis: str) -> None:
    for words in (("promote", "diagnosis:2"), ("rollback", diagnosis)):
        result = run(*words, "--why", "fine\nand more")
        assert result.exit_code == 1
        assert r"why holds \u000a at character 5: write it in one line" in result.stderr


def test_moves_over_a_broken_history_need_force_and_a_reason(run: Run, registry: Registry, diagnosis: str) -> None:
    run("promote", "diagnosis:2")
    key = "aliases/diagnosis/production.json"
    document = json.loads(registry.store.get(key).data)
    registry.store.put(key, json.dumps(document | {"routes": document["previous"][0]}).encode())
    shown = run("history", diagnosis, "--verify")
    assert shown.exit_code == 1
    assert len(shown.stdout.splitlines()) == 3
    for words in (("promote", "diagnosis:1"), ("rollback", diagnosis)):
        refused = run(*words).stderr
        assert "the alias does not route where its entry says, so somebody changed it by hand: find out who" in refused
        assert "promote a version again" not in refused
        assert run(*words, "--force").exit_code == 1
    result = run("rollback", diagnosis, "--force", "--reason", "edited by hand")
    assert (result.exit_code, result.stdout) == (0, "diagnosis@production: 2 -> 1\n")
    assert result.stderr.startswith("warning: diagnosis:1 was forced: the history of 'diagnosis@production' breaks")
    assert "edited by hand; forced: the history" in run("history", diagnosis, "--verify").stdout


def test_no_name_is_suggested_where_the_name_is_right(run: Run, registry: Registry, diagnosis: str) -> None:
    run("promote", "diagnosis:2")
    (entry,) = registry.store.list("history/")
    registry.store.delete(entry.key)
    for words in (("history", diagnosis, "--verify"), ("rollback", diagnosis)):
        result = run(*words)
        assert (result.exit_code, "did you mean" in result.stderr) == (1, False)


def test_a_broken_history_fails_verification(run: Run, registry: Registry, diagnosis: str) -> None:
    run("promote", "diagnosis:2")
    (entry,) = registry.store.list("history/")
    registry.store.put(entry.key, registry.store.get(entry.key).data.replace(b"tests", b"saint"))
    result = run("history", diagnosis, "--verify")
    assert result.exit_code == 1
    assert result.stderr.startswith("error: ")
