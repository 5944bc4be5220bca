"""Stamps, talk time, days and hours of the site."""

from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coovox_billing.core.clock import (
    ROUNDING_MS,
    UNKNOWN,
    OwnTime,
    Talk,
    iso,
    local_day,
    local_moment,
    milliseconds,
    parse_moment,
    parse_stamp_ms,
    talk_time,
    wall_clock,
)
from coovox_billing.errors import BadInput

MADRID = ZoneInfo("Europe/Madrid")
ZONES = [ZoneInfo(name) for name in ("UTC", "Europe/Madrid", "Asia/Kolkata", "Pacific/Apia", "America/St_Johns")]


def _ms(utc: str) -> int:
    return milliseconds(datetime.fromisoformat(utc).replace(tzinfo=UTC))


@pytest.mark.parametrize(
    ("answered_ms", "ended_ms", "elapsed_ms", "seconds", "flagged"),
    [
        (0, 0, None, 0, False),
        (0, 999, None, 0, False),
        (0, 1_000, None, 1, False),
        (500, 60_499, None, 59, False),
        (0, 60_000, 65_000, 60, False),
        (0, 60_000, 60_000, 60, False),
        # answered at once and cut at its limit: the clocks differ by a millisecond
        (0, 60_000, 59_999, 60, False),
        # the clock stepped ahead during the talk
        (0, 3_660_000, 65_000, 65, True),
        (0, 1_795_226_171_000, 65_900, 65, True),
        # the clock stepped back: the stamps say less than nothing
        (60_000, 0, 65_000, 0, True),
        (60_000, 0, None, 1, True),
        (1_000, 0, 5_000, 0, False),
    ],
)
def test_it_knows_how_long_a_call_talked(
    answered_ms: int, ended_ms: int, elapsed_ms: int | None, seconds: int, flagged: bool
) -> None:
    assert talk_time(answered_ms, ended_ms, OwnTime(elapsed_ms)) == Talk(seconds, flagged)


stamps = st.integers(0, 10**10)


@given(stamps, stamps, st.integers(0, 10**10))
def test_it_is_never_below_zero_nor_above_the_own_clock(answered_ms: int, ended_ms: int, elapsed_ms: int) -> None:
    longest_seconds = (elapsed_ms + ROUNDING_MS) // 1000
    assert 0 <= talk_time(answered_ms, ended_ms, OwnTime(elapsed_ms)).seconds <= longest_seconds


@given(stamps, stamps, st.one_of(st.none(), st.integers(0, 10**10)))
def test_it_never_talks_longer_than_stamped(answered_ms: int, ended_ms: int, elapsed_ms: int | None) -> None:
    """But for the second of an answered call of which nothing is known."""
    longest_seconds = max(0 if elapsed_ms is not None else 1, (ended_ms - answered_ms) // 1000)
    assert talk_time(answered_ms, ended_ms, OwnTime(elapsed_ms)).seconds <= longest_seconds


@pytest.mark.parametrize(
    ("asked_ms", "answered_ms", "ended_ms", "since_asked_ms", "seconds", "flagged"),
    [
        (0, 5_000, 45_000, 45_000, 40, False),
        (3_600_000, 3_605_000, 45_000, 45_000, 40, True),
        (0, 5_000, 3_645_000, 45_000, 40, True),
        (0, 3_605_000, 3_645_000, 45_000, 40, False),
        (3_600_000, 5_000, 45_000, 45_000, 40, False),
    ],
    ids=["no step", "back in the talk", "ahead in the talk", "ahead in the ringing", "back in the ringing"],
)
def test_it_knows_the_talk_from_when_it_was_asked(
    asked_ms: int, answered_ms: int, ended_ms: int, since_asked_ms: int, seconds: int, flagged: bool
) -> None:
    """Without the manager nobody hears of the answer when it happens."""
    own = OwnTime(since_asked_ms)
    assert talk_time(answered_ms, ended_ms, own, asked_ms=asked_ms) == Talk(seconds, flagged)


@pytest.mark.parametrize(
    ("stamp", "ms"),
    [("", None), ("1795226171.484", 1_795_226_171_484), ("0.000", 0), ("9999999999.999", 9_999_999_999_999)],
)
def test_it_reads_the_dialplans_stamps(stamp: str, ms: int | None) -> None:
    assert parse_stamp_ms(stamp) == ms


NO_STAMPS = (
    "-1.000", "+1.000", "1e3", "1,500", " 1.000", "1.000 ", "1.2.3", "x", "1.x", "1.5x", "1.500x", ".", ".500", "1.",
    "1795226171", "1.48", "1.4849", "１.500", "10000000000.000", "9" * 5_000 + ".000", "1.000\n", "\n",
)  # fmt: skip


@pytest.mark.parametrize("stamp", NO_STAMPS)
def test_it_refuses_what_is_no_stamp(stamp: str) -> None:
    with pytest.raises(BadInput, match="is not a time stamp"):
        parse_stamp_ms(stamp)


@given(st.text(st.sampled_from("0123456789.-+e x\n²")) | st.text())
def test_it_refuses_garbage_with_bad_input_alone(stamp: str) -> None:
    try:
        ms = parse_stamp_ms(stamp)
    except BadInput:
        return
    assert ms is None or ms >= 0


@given(st.integers(0, 10**13 - 1))
def test_it_reads_every_stamp_to_the_millisecond(ms: int) -> None:
    assert parse_stamp_ms(f"{ms // 1000}.{ms % 1000:03d}") == ms


@pytest.mark.parametrize(
    ("utc", "zone", "day"),
    [
        ("2026-03-02T22:59:59.999", "Europe/Madrid", "2026-03-02"),
        ("2026-03-02T23:00:00", "Europe/Madrid", "2026-03-03"),
        ("2026-07-02T21:59:59", "Europe/Madrid", "2026-07-02"),
        ("2026-07-02T22:00:00", "Europe/Madrid", "2026-07-03"),
        ("2026-03-02T23:00:00", "UTC", "2026-03-02"),
        ("2026-03-02T18:29:59", "Asia/Kolkata", "2026-03-02"),
        ("2026-03-02T18:30:00", "Asia/Kolkata", "2026-03-03"),
        ("2026-03-02T03:29:59", "America/St_Johns", "2026-03-01"),
        ("2026-03-02T10:59:59", "Pacific/Apia", "2026-03-02"),
        ("1970-01-01T00:00:00", "America/St_Johns", "1969-12-31"),
    ],
)
def test_it_knows_the_sites_day(utc: str, zone: str, day: str) -> None:
    assert local_day(_ms(utc), ZoneInfo(zone)) == date.fromisoformat(day)


@pytest.mark.parametrize(
    ("utc", "shown"),
    [
        ("2026-03-29T00:59:59.999", "2026-03-29T01:59:59+01:00"),
        ("2026-03-29T01:00:00", "2026-03-29T03:00:00+02:00"),
        ("2026-10-25T00:59:59", "2026-10-25T02:59:59+02:00"),
        ("2026-10-25T01:00:00", "2026-10-25T02:00:00+01:00"),
    ],
)
def test_it_shows_times_with_the_zone(utc: str, shown: str) -> None:
    assert iso(_ms(utc), MADRID) == shown


def test_it_shows_no_time_for_none() -> None:
    assert iso(None, MADRID) is None


@given(st.integers(0, 4 * 10**12), st.sampled_from(ZONES))
def test_it_finds_the_instant_of_a_local_moment_again(instant_ms: int, zone: ZoneInfo) -> None:
    assert milliseconds(local_moment(instant_ms, zone)) == instant_ms // 1000 * 1000


@given(st.integers(86_400_000, 4 * 10**12), st.sampled_from(ZONES))
def test_it_reads_back_the_times_it_shows(instant_ms: int, zone: ZoneInfo) -> None:
    shown = iso(instant_ms, zone)
    assert shown is not None
    assert milliseconds(parse_moment(shown, ZoneInfo("UTC"))) == instant_ms // 1000 * 1000


def test_it_takes_a_time_without_a_zone_as_site_time() -> None:
    assert parse_moment("2026-03-01T21:59:50", MADRID).isoformat() == "2026-03-01T21:59:50+01:00"
    assert parse_moment("2026-03-01T21:59:50Z", MADRID).isoformat() == "2026-03-01T21:59:50+00:00"


@pytest.mark.parametrize("text", ["", "yesterday", "2026-02-30", "2026-03-01T25:00:00", "10:00", "1772442000"])
def test_it_refuses_what_is_no_time(text: str) -> None:
    with pytest.raises(BadInput, match="is not a time"):
        parse_moment(text, MADRID)


@pytest.mark.parametrize(
    ("elapsed_ms", "limit", "seconds", "off"),
    [(None, 60, 60, True), (None, 3_599, 3_600, False), (None, None, 3_600, False), (3_601_000, 60, 3_600, False)],
    ids=["a clock step", "a second over", "no limit", "a real overrun"],
)
def test_it_takes_talk_beyond_the_limit_for_a_clock_step_unless_it_knows_better(
    elapsed_ms: int | None, limit: int | None, seconds: int, off: bool
) -> None:
    talk = talk_time(1_000_000, 4_600_000, OwnTime(elapsed_ms), limit)
    assert (talk.seconds, talk.clock_was_off) == (seconds, off)


@pytest.mark.parametrize("own", [UNKNOWN, OwnTime(since_answer_ms=40_000)], ids=["nobody watched", "watched"])
@pytest.mark.parametrize("talked_years", [-1, 56], ids=["set back", "booted in 1970"])
def test_it_takes_years_of_talk_for_a_clock_that_was_set(own: OwnTime, talked_years: int) -> None:
    talk = talk_time(10**13, 10**13 + talked_years * 31_536_000_000, own)
    assert (talk.seconds, talk.clock_was_off) == (1 if own == UNKNOWN else 40, True)


def seconds_shown(instant_ms: int, zone: ZoneInfo) -> int:
    return int(local_moment(instant_ms, zone).replace(tzinfo=UTC).timestamp())


@given(st.lists(st.integers(0, 8_000_000_000_000), min_size=1), st.sampled_from(ZONES))
def test_it_tells_many_instants_as_it_tells_each(instants_ms: list[int], zone: ZoneInfo) -> None:
    told = wall_clock(zone)
    assert [told(instant_ms) for instant_ms in instants_ms] == [seconds_shown(ms, zone) for ms in instants_ms]


@pytest.mark.parametrize(
    ("name", "set_at"),
    [
        ("Europe/Madrid", "2026-03-29T01:00:00"),
        ("Europe/Madrid", "2026-10-25T01:00:00"),
        # within an hour of UTC
        ("Australia/Lord_Howe", "2026-04-04T15:00:00"),
        ("Africa/Monrovia", "1972-01-07T00:44:30"),
        # a day is left out
        ("Pacific/Apia", "2011-12-30T10:00:00"),
    ],
)
def test_it_tells_instants_around_a_clock_that_is_set(name: str, set_at: str) -> None:
    zone, told = ZoneInfo(name), wall_clock(ZoneInfo(name))
    instants_ms = range(_ms(set_at) - 7_200_000, _ms(set_at) + 7_200_000, 500)
    shown = [seconds_shown(instant_ms, zone) for instant_ms in instants_ms]
    assert [told(instant_ms) for instant_ms in instants_ms] == shown
    assert shown[-1] - shown[0] != 14_399
