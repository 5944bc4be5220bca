"""Which rate wins, when it is open, and why the others lost."""

from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from itertools import permutations
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coovox_billing.core import clock
from coovox_billing.core.tariff import ALL_DAYS, Choice, Rate, choose, is_open
from coovox_billing.core.why import sentence
from tests.cast import CITY_NUMBER, GUIDE_RATE, MONDAY_MORNING, a_rate

MADRID = ZoneInfo("Europe/Madrid")
NIGHT = {"start_time": time(22, 0), "end_time": time(6, 0)}
NINE_TO_FIVE = {"start_time": time(9, 0), "end_time": time(17, 0)}


def _choose(*rates: Rate, extension: str = "100", number: str = CITY_NUMBER, at: datetime = MONDAY_MORNING) -> Choice:
    return choose(rates, extension, number, at)


def _reason(choice: Choice, rate: Rate) -> str:
    return next(sentence(reason) for lost, reason in choice.lost if lost.id == rate.id)


# Each line: what beats what by one level of the order alone, though the loser is better on every later level.
LEVELS = [
    (
        "longest prefix",
        a_rate(id=9, prefix="98", number_length=0),
        a_rate(id=1, prefix="9", number_length=9, extensions=frozenset({"100"}), **NINE_TO_FIVE),
        "its prefix is shorter",
    ),
    (
        "exact length",
        a_rate(id=9, number_length=9),
        a_rate(id=1, number_length=0, extensions=frozenset({"100"}), **NINE_TO_FIVE),
        "it takes any length, the winner this exact length",
    ),
    (
        "list of extensions",
        a_rate(id=9, extensions=frozenset({"100", "101"})),
        a_rate(id=1, **NINE_TO_FIVE),
        "it is for all extensions, the winner for a list",
    ),
    (
        "fewer open seconds",
        a_rate(id=9, **NINE_TO_FIVE),
        a_rate(id=1, start_time=time(8, 59, 59), end_time=time(17, 0)),
        "it is open more hours per week",
    ),
    (
        "fewer days",
        a_rate(id=9, days=frozenset({1, 2})),
        a_rate(id=1, days=frozenset({1, 2, 3})),
        "it is open more hours per week",
    ),
    ("older", a_rate(id=1), a_rate(id=9), "it is newer"),
]


@pytest.mark.parametrize(
    ("winner", "loser", "reason"), [level[1:] for level in LEVELS], ids=[level[0] for level in LEVELS]
)
def test_it_breaks_ties_level_by_level(winner: Rate, loser: Rate, reason: str) -> None:
    for rates in permutations((winner, loser)):
        choice = _choose(*rates)
        assert choice.rate == winner
        assert [(rate, sentence(why)) for rate, why in choice.lost] == [(loser, reason)]


@pytest.mark.parametrize(
    ("rate", "reason"),
    [
        (a_rate(id=2, prefix="7"), "its prefix 7 does not begin the number"),
        (a_rate(id=2, prefix="988360046000"), "its prefix 988360046000 does not begin the number"),
        (a_rate(id=2, active=False), "it is not active"),
        (a_rate(id=2, number_length=12), "it is for numbers of 12 digits, this one has 9"),
        (a_rate(id=2, number_length=8), "it is for numbers of 8 digits, this one has 9"),
        (a_rate(id=2, extensions=frozenset({"101"})), "it does not apply to extension 100"),
        (a_rate(id=2, extensions=frozenset()), "it does not apply to extension 100"),
        (a_rate(id=2, **NIGHT), "it is not open on Monday at 10:00:00"),
        (a_rate(id=2, days=frozenset({2})), "it is not open on Monday at 10:00:00"),
    ],
)
def test_it_says_why_a_rate_does_not_apply(rate: Rate, reason: str) -> None:
    assert _choose(rate).rate is None
    assert _reason(_choose(rate, GUIDE_RATE), rate) == reason


def test_it_finds_no_winner_where_nothing_matches() -> None:
    assert _choose() == Choice(None, ())
    assert _choose(GUIDE_RATE, number="788360046").rate is None


def test_it_names_the_beaten_before_those_that_do_not_apply() -> None:
    beaten, closed = a_rate(id=2), a_rate(id=3, prefix="988", active=False)
    assert [rate.id for rate, _ in _choose(closed, beaten, GUIDE_RATE).lost] == [2, 3]


@pytest.mark.parametrize(
    ("prefix", "length", "number", "matches"),
    [
        ("9", 9, "988360046", True),
        ("9", 9, "98836004", False),
        ("9", 9, "9883600460", False),
        ("9", 12, "998836004612", True),
        ("9", 0, "9", True),
        ("9", 0, "99999999999999", True),
        ("", 0, "55", True),
        ("", 2, "55", True),
        ("", 2, "555", False),
        ("988360046", 9, "988360046", True),
        ("*6", 0, "*67", True),
    ],
)
def test_it_matches_prefix_and_length_of_the_number_as_dialed(
    prefix: str, length: int, number: str, matches: bool
) -> None:
    assert (_choose(a_rate(prefix=prefix, number_length=length), number=number).rate is not None) == matches


@pytest.mark.parametrize(
    ("listed", "extension", "applies"),
    [
        (None, "100", True),
        ({"100"}, "100", True),
        ({"100", "101"}, "101", True),
        ({"100"}, "10", False),
        ({"10"}, "100", False),
    ],
)
def test_it_applies_to_its_extensions(listed: set[str] | None, extension: str, applies: bool) -> None:
    rate = a_rate(extensions=None if listed is None else frozenset(listed))
    assert (_choose(rate, extension=extension).rate is not None) == applies


# 2026-03-02 is a Monday.
OPENINGS = [
    # start, end, days, moment, open
    ("09:00:00", "17:00:00", "1234567", "2026-03-02T08:59:59", False),
    ("09:00:00", "17:00:00", "1234567", "2026-03-02T09:00:00", True),
    ("09:00:00", "17:00:00", "1234567", "2026-03-02T17:00:00", True),
    ("09:00:00", "17:00:00", "1234567", "2026-03-02T17:00:00.999999", True),
    ("09:00:00", "17:00:00", "1234567", "2026-03-02T17:00:01", False),
    ("09:00:00", "17:00:00", "2345", "2026-03-02T12:00:00", False),
    ("09:00:00", "17:00:00", "2345", "2026-03-03T12:00:00", True),
    ("00:00:00", "23:59:59", "1", "2026-03-02T23:59:59.5", True),
    ("00:00:00", "23:59:59", "1", "2026-03-03T00:00:00", False),
    # across midnight: the day is the day of opening
    ("22:00:00", "06:00:00", "1234567", "2026-03-02T21:59:59", False),
    ("22:00:00", "06:00:00", "1234567", "2026-03-02T22:00:00", True),
    ("22:00:00", "06:00:00", "1234567", "2026-03-02T06:00:00.999", True),
    ("22:00:00", "06:00:00", "1234567", "2026-03-02T06:00:01", False),
    ("22:00:00", "06:00:00", "1", "2026-03-02T23:00:00", True),
    ("22:00:00", "06:00:00", "1", "2026-03-03T05:00:00", True),
    ("22:00:00", "06:00:00", "1", "2026-03-02T05:00:00", False),
    ("22:00:00", "06:00:00", "1", "2026-03-03T23:00:00", False),
    ("22:00:00", "06:00:00", "7", "2026-03-02T05:00:00", True),
    ("22:00:00", "06:00:00", "7", "2026-03-01T22:00:00", True),
    # one second, and all but one second
    ("12:00:00", "12:00:00", "1", "2026-03-02T12:00:00.7", True),
    ("12:00:00", "12:00:00", "1", "2026-03-02T12:00:01", False),
    ("12:00:01", "12:00:00", "1", "2026-03-03T12:00:00", True),
    ("12:00:01", "12:00:00", "1", "2026-03-03T12:00:01", False),
]


@pytest.mark.parametrize(("start", "end", "days", "moment", "opened"), OPENINGS)
def test_it_is_open_in_its_window(start: str, end: str, days: str, moment: str, opened: bool) -> None:
    rate = a_rate(
        start_time=time.fromisoformat(start), end_time=time.fromisoformat(end), days=frozenset(map(int, days))
    )
    assert is_open(rate, datetime.fromisoformat(moment)) == opened


# Madrid skips 02:00 to 03:00 on 2026-03-29 and has it twice on 2026-10-25; both are Sundays.
DAYLIGHT = [
    # window, UTC instant, open
    ("02:00:00", "02:59:59", "2026-03-29T00:59:59", False),
    ("02:00:00", "02:59:59", "2026-03-29T01:00:00", False),
    ("03:00:00", "03:59:59", "2026-03-29T01:00:00", True),
    ("22:00:00", "06:00:00", "2026-03-29T04:00:00", True),
    ("22:00:00", "06:00:00", "2026-03-29T04:00:01", False),
    ("02:00:00", "02:59:59", "2026-10-24T23:59:59", False),
    ("02:00:00", "02:59:59", "2026-10-25T00:00:00", True),
    ("02:00:00", "02:59:59", "2026-10-25T00:59:59", True),
    ("02:00:00", "02:59:59", "2026-10-25T01:00:00", True),
    ("02:00:00", "02:59:59", "2026-10-25T01:59:59", True),
    ("02:00:00", "02:59:59", "2026-10-25T02:00:00", False),
    ("22:00:00", "06:00:00", "2026-10-25T05:00:00", True),
    ("22:00:00", "06:00:00", "2026-10-25T05:00:01", False),
]


@pytest.mark.parametrize(("start", "end", "instant", "opened"), DAYLIGHT)
def test_it_follows_the_wall_clock_when_daylight_saving_changes(
    start: str, end: str, instant: str, opened: bool
) -> None:
    rate = a_rate(start_time=time.fromisoformat(start), end_time=time.fromisoformat(end))
    instant_ms = clock.milliseconds(datetime.fromisoformat(instant).replace(tzinfo=UTC))
    assert is_open(rate, clock.local_moment(instant_ms, MADRID)) == opened


@pytest.mark.parametrize(
    ("start", "end", "days", "seconds"),
    [
        (time(0), time(23, 59, 59), ALL_DAYS, 7 * 86_400),
        (time(9), time(17), frozenset({1}), 8 * 3600 + 1),
        (time(22), time(6), frozenset({1, 2}), 2 * (8 * 3600 + 1)),
        (time(12), time(12), frozenset({1}), 1),
        (time(12, 0, 1), time(12), frozenset({1}), 86_400),
    ],
)
def test_it_knows_its_open_seconds_per_week(start: time, end: time, days: frozenset[int], seconds: int) -> None:
    assert a_rate(start_time=start, end_time=end, days=days).open_seconds_per_week == seconds


clocks = st.times().map(lambda at: at.replace(microsecond=0))
week_days = st.frozensets(st.integers(1, 7), min_size=1)
windows = st.builds(
    lambda start, end, days: a_rate(start_time=start, end_time=end, days=days), clocks, clocks, week_days
)
moments = st.datetimes(datetime(2026, 1, 1), datetime(2027, 1, 1))


def _is_open_by_the_calendar(rate: Rate, moment: datetime) -> bool:
    """The plain reading of the rule: try the window of every day on which it may have opened."""
    for day in (moment.date() - timedelta(days=1), moment.date()):
        if day.isoweekday() in rate.days and _window_of(rate, day) <= moment < _window_end(rate, day):
            return True
    return False


def _window_of(rate: Rate, day: date) -> datetime:
    return datetime.combine(day, rate.start_time)


def _window_end(rate: Rate, day: date) -> datetime:
    end = datetime.combine(day, rate.end_time) + timedelta(seconds=1)
    return end + timedelta(days=1) if rate.start_time > rate.end_time else end


@given(windows, moments)
def test_it_is_open_exactly_as_the_calendar_says(rate: Rate, moment: datetime) -> None:
    assert is_open(rate, moment) == _is_open_by_the_calendar(rate, moment)


@given(windows, st.sampled_from(["start_time", "end_time"]), st.integers(-1, 1), st.integers(1, 28))
def test_it_is_open_as_the_calendar_says_at_the_edges(rate: Rate, edge: str, seconds: int, day: int) -> None:
    moment = datetime.combine(date(2026, 2, day), getattr(rate, edge)) + timedelta(seconds=seconds)
    assert is_open(rate, moment) == _is_open_by_the_calendar(rate, moment)


rivals = st.lists(
    st.builds(
        lambda prefix, length, start, end, days, listed, active: a_rate(
            prefix=prefix,
            number_length=length,
            start_time=start,
            end_time=end,
            days=days,
            extensions=listed,
            active=active,
        ),
        st.sampled_from(["", "9", "98", "988", "7"]),
        st.sampled_from([0, 9, 12]),
        clocks,
        clocks,
        week_days,
        st.sampled_from([None, frozenset({"100"}), frozenset({"101"})]),
        st.booleans(),
    ),
    max_size=6,
).map(lambda rates: [replace(rate, id=number) for number, rate in enumerate(rates, start=1)])


@given(rivals, st.data(), moments)
def test_it_chooses_alike_in_whatever_order_the_rates_come(
    rates: list[Rate], data: st.DataObject, moment: datetime
) -> None:
    shuffled = data.draw(st.permutations(rates))
    assert _choose(*shuffled, at=moment) == _choose(*rates, at=moment)


@given(rivals, moments)
def test_it_gives_every_rate_that_lost_a_reason(rates: list[Rate], moment: datetime) -> None:
    choice = _choose(*rates, at=moment)
    named = [rate.id for rate, _ in choice.lost] + ([choice.rate.id] if choice.rate else [])
    assert sorted(named) == [rate.id for rate in rates]
    assert all(reason for _, reason in choice.lost)
