"""Alarms: they open and close as findings come and go, people say what they think of them, and the log only grows."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from faults import WatchedStore
from onnxlet.errors import IntegrityError, InvalidInputError, PreconditionFailedError, StoreUnavailableError
from onnxlet.monitor.alarms.book import AlarmBook, Note, decode_book
from onnxlet.monitor.alarms.ledger import read_book, read_log, take_out, turn
from onnxlet.monitor.alarms.turning import Turn, acknowledge, mute, settle, unmute
from onnxlet.monitor.report.section import Finding
from onnxlet.store import Store, open_store

ALIASES = {3: ("production",)}
ANN = Note("ann", "2026-11-05T09:00:00.000000Z", "we changed the scale")
WATCH = Note("onnxlet watch", "2026-11-05T04:00:00.000000Z", "")


def drift(about: str, day: str = "2026-11-04") -> Finding:
    return Finding("drift", 3, day, about, f"{about} has drifted")


def watch(store: Store, *findings: Finding, day: str = "2026-11-05") -> AlarmBook:
    now = f"{day}T04:00:00.000000Z"
    return turn(store, "m", WATCH, lambda book: settle(book, "m", findings, ALIASES, now))


def told(book: AlarmBook) -> list[tuple[str, str]]:
    return [(event.detail_type, event.about) for event in book.outbox]


def log(store: Store) -> list[list[tuple[str, str]]]:
    return [[(change.what, change.about) for change in entry.changes] for entry in read_log(store, "m")]


def test_an_alarm_opens_once_and_closes_when_nothing_is_found_any_more(store: Store) -> None:
    assert told(watch(store, drift("age"))) == [("drift found", "age")]
    assert told(watch(store, drift("age"), day="2026-11-06")) == [("drift found", "age")]
    book = watch(store, drift("dose"), day="2026-11-07")
    assert told(book) == [("drift found", "age"), ("drift over", "age"), ("drift found", "dose")]
    assert [(alarm.about, alarm.opened[:10]) for alarm in book.alarms] == [("dose", "2026-11-07")]
    assert log(store) == [[("opened", "age")], [("closed", "age"), ("opened", "dose")]]


def test_an_event_says_what_a_listener_decides_by(store: Store) -> None:
    (event,) = watch(store, drift("age")).outbox
    assert (event.model, event.version, event.aliases, event.day) == ("m", 3, ("production",), "2026-11-04")
    assert event.says == "age has drifted"
    taken = take_out(store, "m", [event])
    assert taken.outbox == ()
    assert taken.alarms == read_book(store, "m").alarms


def test_what_is_acknowledged_stays_open_and_is_new_when_it_comes_again(store: Store) -> None:
    watch(store, drift("age"), drift("dose"))
    book = turn(store, "m", ANN, lambda book: acknowledge(book, "age", ANN))
    assert [(alarm.about, alarm.acknowledged) for alarm in book.alarms] == [("age", ANN), ("dose", None)]
    assert [alarm.about for alarm in book.loud("2026-11-05")] == ["dose"]
    watch(store, day="2026-11-06")
    book = watch(store, drift("age"), day="2026-11-07")
    assert [alarm.acknowledged for alarm in book.alarms] == [None]
    assert read_log(store, "m")[1].note == ANN


def test_what_is_muted_is_told_to_nobody_before_the_mute_ends(store: Store) -> None:
    turn(store, "m", ANN, lambda book: mute(book, "age", ANN, "2026-11-06"))
    assert told(watch(store, drift("age"))) == []
    assert read_book(store, "m").loud("2026-11-05") == []
    assert told(watch(store, drift("age"), drift("dose"), day="2026-11-06")) == [("drift found", "dose")]
    book = watch(store, drift("age"), drift("dose"), day="2026-11-07")
    assert told(book) == [("drift found", "dose"), ("drift found", "age")]
    assert book.mutes == ()
    assert log(store)[-1] == [("unmuted", "age"), ("announced", "age")]


def test_an_alarm_that_nobody_was_told_of_ends_untold(store: Store) -> None:
    turn(store, "m", ANN, lambda book: mute(book, "", ANN))
    watch(store, drift("age"))
    assert told(watch(store, day="2026-11-06")) == []
    assert log(store) == [[("muted", "")], [("opened", "age")], [("closed", "age")]]


def test_a_mute_ends_by_hand_and_a_second_takes_the_place_of_the_first(store: Store) -> None:
    turn(store, "m", ANN, lambda book: mute(book, "age", ANN, "2026-11-06"))
    book = turn(store, "m", ANN, lambda book: mute(book, "age", ANN))
    assert [(each.about, each.until) for each in book.mutes] == [("age", "")]
    assert turn(store, "m", ANN, lambda book: unmute(book, "age")).mutes == ()


def test_what_is_not_there_is_neither_acknowledged_nor_unmuted(store: Store) -> None:
    watch(store, drift("age"))
    turn(store, "m", ANN, lambda book: mute(book, "ward", ANN))
    with pytest.raises(InvalidInputError, match=r"no open alarm about 'dose'.*'age' do"):
        turn(store, "m", ANN, lambda book: acknowledge(book, "dose", ANN))
    with pytest.raises(InvalidInputError, match="'age' is not muted; muted are 'ward'"):
        turn(store, "m", ANN, lambda book: unmute(book, "age"))
    assert len(read_log(store, "m")) == 2


@pytest.mark.parametrize("url", ["directory_url", "s3_store_url"])
def test_two_who_watch_at_once_open_an_alarm_once(url: str, request: pytest.FixtureRequest) -> None:
    store = open_store(request.getfixturevalue(url))
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: watch(store, drift("age"), drift("dose")), range(8)))
    assert told(read_book(store, "m")) == [("drift found", "age"), ("drift found", "dose")]
    assert log(store) == [[("opened", "age"), ("opened", "dose")]]


def test_changes_of_many_at_once_are_all_in_the_log(store: Store) -> None:
    with ThreadPoolExecutor(4) as pool:
        about = [f"c{number}" for number in range(8)]
        list(pool.map(lambda name: turn(store, "m", ANN, lambda book: mute(book, name, ANN)), about))
    assert sorted(each.about for each in read_book(store, "m").mutes) == about
    assert [entry.sequence for entry in read_log(store, "m")] == list(range(1, 9))


def test_who_is_stopped_before_the_commit_has_changed_nothing(store: Store) -> None:
    watch(store, drift("age"))

    def stop(method: str, _: str) -> None:
        if method == "swap":
            raise StoreUnavailableError("stopped")

    with pytest.raises(StoreUnavailableError):
        watch(WatchedStore(store, stop))
    assert [alarm.about for alarm in read_book(store, "m").alarms] == ["age"]
    assert log(store) == [[("opened", "age")]]
    assert watch(store).alarms == ()
    assert log(store) == [[("opened", "age")], [("closed", "age")]]


def test_a_change_whose_answer_was_lost_is_made_once(store: Store) -> None:
    watch(store, drift("age"))

    class Lossy(WatchedStore):
        def swap(self, key: str, data: bytes | Path, etag: str) -> str:
            store.swap(key, data, etag)
            raise PreconditionFailedError("the first try had been made")

    lossy = Lossy(store, lambda *_: None)
    turn(lossy, "m", ANN, lambda book: acknowledge(book, None, ANN))
    assert log(store) == [[("opened", "age")], [("acknowledged", "age")]]


def test_a_log_that_was_changed_is_found_out(store: Store) -> None:
    for about in ("a", "b", "c"):
        watch(store, drift(about))
    key = "sketches/alarms/m/log/0000000002.json"
    whole = store.get(key).data
    store.put(key, whole.replace(b'"b"', b'"x"'))
    with pytest.raises(IntegrityError, match="breaks at entry 3"):
        read_log(store, "m")
    store.delete(key)
    with pytest.raises(IntegrityError, match="breaks at entry 2"):
        read_log(store, "m")


def test_an_entry_that_an_onnxlet_with_fewer_fields_left_in_the_log_is_followed_and_the_log_is_whole(
    store: Store,
) -> None:
    """It was stopped between the log and the alarms; what it wrote has other bytes than the same entry has today."""
    watch(store, drift("a"))
    key = "sketches/alarms/m/log/0000000001.json"
    entry = json.loads(store.get("sketches/alarms/m/alarms.json").data)["entry"]
    del entry["schema"]
    store.put(key, json.dumps(entry).encode())
    older = store.get(key).data
    watch(store, drift("b"))
    watch(store, drift("c"))
    assert store.get(key).data == older
    assert [entry.sequence for entry in read_log(store, "m")] == [1, 2, 3]


def test_alarms_of_a_newer_onnxlet_or_of_nothing_are_refused() -> None:
    with pytest.raises(IntegrityError, match="upgrade onnxlet"):
        decode_book(b'{"schema":9}')
    with pytest.raises(IntegrityError, match="no alarms"):
        decode_book(b'{"alarms":1}')


COLUMNS = st.sampled_from(["age", "dose", "ward", ""])
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("watch"), st.sets(COLUMNS)),
        st.tuples(st.just("mute"), COLUMNS),
        st.tuples(st.just("unmute"), COLUMNS),
        st.tuples(st.just("acknowledge"), COLUMNS),
    ),
    max_size=12,
)


@given(STEPS)
def test_whatever_happens_found_and_over_take_turns_and_alarms_are_what_was_found_last(
    steps: list[tuple[str, set[str] | str]],
) -> None:
    book, last, events = AlarmBook(), set[str](), list[tuple[str, str]]()
    for day, (step, what) in enumerate(steps, 1):
        done: Turn | None = None
        try:
            if isinstance(what, set):
                findings = [drift(about) for about in sorted(what)]
                done, last = settle(book, "m", findings, ALIASES, f"2026-11-{day:02}T04:00:00.000000Z"), what
            elif step == "mute":
                done = mute(book, what, ANN, f"2026-11-{day + 2:02}")
            else:
                done = unmute(book, what) if step == "unmute" else acknowledge(book, what, ANN)
        except InvalidInputError:
            continue
        if done is not None:
            assert done.changes
            book = AlarmBook(done.alarms, done.mutes)
            events.extend((event.about, event.state) for event in done.events)
    assert {alarm.about for alarm in book.alarms} == last
    for about in ("age", "dose", "ward", ""):
        states = [state for name, state in events if name == about]
        assert states == ["found", "over"] * (len(states) // 2) + ["found"] * (len(states) % 2)
