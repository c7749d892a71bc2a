"""That the month is judged: what is late, early or missing is said."""

from __future__ import annotations

from pathlib import Path

from month.bus import Heard
from month.judging import PLANTED, documented, judge, too_early


def in_time() -> list[Heard]:
    """Everything, found on the last night that will do."""
    return [Heard(each.due, each.kind, each.about, "found", "") for each in PLANTED]


def test_a_month_in_which_all_is_found_on_the_last_night_is_well() -> None:
    assert all(told.in_time for told in judge(in_time()))
    assert too_early(in_time()) == []


def test_what_is_found_a_night_too_late_or_never_is_not_in_time() -> None:
    for place, each in enumerate(PLANTED):
        late = in_time()
        late[place] = late[place]._replace(night=each.due + 1)
        assert [told.planted for told in judge(late) if not told.in_time] == [each]
        assert [told.planted for told in judge([*late[:place], *late[place + 1 :]]) if told.found is None] == [each]


def test_an_alarm_before_anything_went_wrong_is_too_early_whatever_it_is_about() -> None:
    alarm = Heard(PLANTED[0].day - 1, "drift", "ward", "found", "")
    assert too_early([*in_time(), alarm]) == [alarm]
    closed = alarm._replace(state="over")
    assert too_early([*in_time(), closed]) == []
    unforeseen = alarm._replace(kind="stale baseline")
    assert too_early([unforeseen]) == [unforeseen]


def test_the_page_tells_of_all_that_was_planted_and_of_nights_in_time() -> None:
    nights = documented((Path(__file__).parents[2] / "docs" / "operations.md").read_text())
    assert nights.keys() == {each.what for each in PLANTED}
    assert all(each.day <= nights[each.what] <= each.due for each in PLANTED)
