"""When the trial is over, whatever clocks and copies of its record say."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coovox_billing.core import trial as trials
from coovox_billing.core.trial import (
    CONFIRMED_MS,
    TRIAL_MS,
    Identifier,
    Running,
    Trial,
    begin,
    earliest,
    go_on,
    is_over,
)
from coovox_billing.errors import BadInput

RELEASED_MS = 1_795_219_200_000
HOUR_MS, DAY_MS = 3_600_000, 86_400_000
FIRST_MS = RELEASED_MS + 5 * DAY_MS
DEVICE = [Identifier("mac", "68:69:2e:00:00:01"), Identifier("emmc-cid", "15010038"), Identifier("serial", "U50-7")]
OTHER = [Identifier("mac", "68:69:2e:00:00:02"), Identifier("emmc-cid", "15010039"), Identifier("serial", "U50-8")]


class Box:
    """A box whose billing runs and stops, and whose wall clock people set. It remembers as the product does."""

    def __init__(self, now_ms: int = FIRST_MS) -> None:
        self.true_ms, self.wrong_ms = now_ms, 0
        self.trial, self.running = begin(now_ms, RELEASED_MS), Running(wall_ms=now_ms)

    @property
    def wall_ms(self) -> int:
        return self.true_ms + self.wrong_ms

    def runs(self, ms: int) -> "Box":
        """Billing runs, and remembers each hour."""
        for _ in range(ms // HOUR_MS):
            self.true_ms += HOUR_MS
            self.running = self.running.on(HOUR_MS, self.wall_ms)
            self.trial = go_on(self.trial, self.running, self.wall_ms, RELEASED_MS)
            self.running = self.running.noted()
        return self

    def is_off(self, ms: int, set_by_ms: int = 0) -> "Box":
        """Nobody sees the clock that is set meanwhile."""
        self.true_ms, self.wrong_ms = self.true_ms + ms, self.wrong_ms + set_by_ms
        self.running = self.running.begun(self.wall_ms)
        return self

    def sets_the_clock(self, by_ms: int) -> "Box":
        self.wrong_ms += by_ms
        return self

    @property
    def is_over(self) -> bool:
        return is_over(self.trial, self.wall_ms, RELEASED_MS)


def test_it_lasts_thirty_days_to_the_second() -> None:
    trial = begin(FIRST_MS, RELEASED_MS)
    assert not is_over(trial, FIRST_MS + TRIAL_MS - 1, RELEASED_MS)
    assert is_over(trial, FIRST_MS + TRIAL_MS, RELEASED_MS)


def test_it_is_over_after_thirty_days_of_which_the_box_was_off_for_most() -> None:
    assert not Box().runs(DAY_MS).is_off(28 * DAY_MS).is_over
    assert Box().runs(DAY_MS).is_off(29 * DAY_MS).is_over


@pytest.mark.parametrize("back_days", [1, 10, 29, 300, 20_000])
def test_a_clock_that_is_set_back_wins_no_second_of_running(back_days: int) -> None:
    box = Box().runs(10 * DAY_MS).sets_the_clock(-back_days * DAY_MS).runs(20 * DAY_MS - HOUR_MS)
    assert not box.is_over
    assert box.runs(HOUR_MS).is_over


def test_a_clock_that_is_set_back_every_day_wins_nothing() -> None:
    box = Box()
    for _ in range(30):
        assert not box.is_over
        box.runs(DAY_MS).sets_the_clock(-DAY_MS)
    assert box.is_over


def test_a_clock_that_is_set_back_is_told() -> None:
    box = Box().runs(10 * DAY_MS)
    assert not trials.is_behind(box.trial, box.wall_ms - HOUR_MS, RELEASED_MS), "a small correction"
    box.sets_the_clock(-2 * DAY_MS)
    assert trials.is_behind(box.trial, box.wall_ms, RELEASED_MS)


def test_a_clock_that_is_ahead_for_days_takes_nothing_once_it_is_right() -> None:
    box = Box().runs(2 * DAY_MS).sets_the_clock(400 * DAY_MS).runs(CONFIRMED_MS - HOUR_MS)
    assert box.is_over, "while it is ahead"
    assert not box.sets_the_clock(-400 * DAY_MS).is_over
    assert not box.runs(30 * DAY_MS - 2 * DAY_MS - CONFIRMED_MS).is_over
    assert box.runs(HOUR_MS).is_over


def test_a_week_of_running_confirms_a_clock() -> None:
    """So that days in which the box was off count, though the clock is set back afterwards."""
    box = Box().is_off(15 * DAY_MS).runs(CONFIRMED_MS).sets_the_clock(-15 * DAY_MS)
    assert not box.runs(8 * DAY_MS - HOUR_MS).is_over
    assert box.runs(HOUR_MS).is_over


def test_a_box_that_boots_in_1970_has_its_thirty_days() -> None:
    box = Box(DAY_MS).runs(3 * DAY_MS)
    assert (box.trial.is_dated, box.is_over) == (False, False)
    assert not box.sets_the_clock(FIRST_MS).runs(HOUR_MS).trial.is_dated, "it may be set once more"
    box.runs(HOUR_MS)
    assert box.trial == Trial(box.wall_ms - 3 * DAY_MS - 2 * HOUR_MS, box.wall_ms, is_dated=True)
    assert not box.runs(27 * DAY_MS - 3 * HOUR_MS).is_over
    assert box.runs(HOUR_MS).is_over


@pytest.mark.parametrize("wrong_days", [-60, -5, 5, 23_000])
def test_a_clock_that_is_set_right_within_a_day_dates_the_trial_anew(wrong_days: int) -> None:
    """As of a box that boots with the time of its last shutdown, or with a flat battery's, until NTP answers."""
    box = Box(FIRST_MS + 90 * DAY_MS)
    box.sets_the_clock(wrong_days * DAY_MS)
    box.trial, box.running = begin(box.wall_ms, RELEASED_MS), Running(wall_ms=box.wall_ms)
    box.runs(3 * HOUR_MS).sets_the_clock(-wrong_days * DAY_MS).runs(HOUR_MS)
    assert box.trial == Trial(box.true_ms - 4 * HOUR_MS, box.true_ms, is_dated=True)
    assert not box.runs(30 * DAY_MS - 5 * HOUR_MS).is_over
    assert box.runs(HOUR_MS).is_over


def test_setting_the_clock_again_and_again_on_the_first_day_wins_nothing() -> None:
    box = Box()
    for hour in range(23):
        box.sets_the_clock((-1) ** hour * 20 * DAY_MS).runs(HOUR_MS)
    box.sets_the_clock(-20 * DAY_MS)
    assert box.runs(30 * DAY_MS - 23 * HOUR_MS).is_over


@pytest.mark.parametrize("hours", [1, 9, 23])
def test_a_box_of_office_hours_whose_clock_is_set_back_at_night_wins_no_month(hours: int) -> None:
    box = Box()
    for _ in range(60):
        box.runs(hours * HOUR_MS).is_off((24 - hours) * HOUR_MS)
        if box.wall_ms - FIRST_MS > 29 * DAY_MS:
            box.is_off(0, set_by_ms=box.trial.least_ms - box.wall_ms)
    assert box.is_over or box.trial.least_ms - FIRST_MS >= 60 * hours * HOUR_MS
    if hours > 8:
        assert box.is_over


def test_a_week_of_a_clock_that_is_behind_ends_its_fault_and_gives_nothing() -> None:
    box = Box().runs(10 * DAY_MS).sets_the_clock(-5 * DAY_MS).runs(8 * DAY_MS)
    assert not trials.is_behind(box.trial, box.wall_ms, RELEASED_MS)
    assert not box.runs(12 * DAY_MS - HOUR_MS).is_over
    assert box.runs(HOUR_MS).is_over


def test_a_box_that_is_always_in_1970_has_no_more() -> None:
    box = Box(DAY_MS)
    for _ in range(30):
        assert not box.is_over
        box.runs(DAY_MS).is_off(0).sets_the_clock(-DAY_MS)
    assert box.is_over


@given(
    st.lists(
        st.tuples(st.sampled_from(["runs", "is_off", "sets"]), st.integers(-60 * 24, 60 * 24)).map(
            lambda step: (step[0], step[1] * HOUR_MS)
        ),
        max_size=12,
    )
)
def test_no_clock_makes_more_than_thirty_days_of_running_and_no_less_of_a_right_one(
    steps: list[tuple[str, int]],
) -> None:
    box, ran_ms, was_right = Box(), 0, True
    for kind, ms in steps:
        if kind == "runs":
            ran_ms += abs(ms)
            box.runs(abs(ms))
        elif kind == "is_off":
            box.is_off(abs(ms))
        else:
            was_right = was_right and ms == 0
            box.sets_the_clock(ms)
    if ran_ms >= TRIAL_MS:
        assert box.is_over
    if was_right:
        assert box.is_over == (box.true_ms - FIRST_MS >= TRIAL_MS)


TRIALS = st.builds(
    lambda first, lasted, is_dated: Trial(first, first + lasted, is_dated),
    st.integers(0, 1 << 44),
    st.integers(0, 1 << 36),
    st.booleans(),
)


@given(st.lists(TRIALS, max_size=4))
def test_of_several_records_none_makes_the_trial_longer(records: list[Trial]) -> None:
    together = earliest(records)
    if not records:
        assert together is None
        return
    assert together is not None
    dated = [record for record in records if record.is_dated]
    assert together.is_dated == bool(dated)
    if dated:
        assert together.first_ms == min(record.first_ms for record in dated)
        assert together.least_ms >= max(record.least_ms for record in dated)
    assert together.least_ms - together.first_ms >= max(r.least_ms - r.first_ms for r in records)


@given(TRIALS)
def test_a_record_can_be_read_again(trial: Trial) -> None:
    record = trials.open_record(trials.seal(trial, DEVICE), DEVICE)
    assert (record.trial, record.is_ours, record.is_broken) == (trial, True, False)


def test_a_record_tells_no_identifier() -> None:
    text = trials.seal(begin(FIRST_MS, RELEASED_MS), DEVICE)
    assert not any(identifier.value in text for identifier in DEVICE)


def test_a_changed_network_card_leaves_a_record_ours() -> None:
    text = trials.seal(begin(FIRST_MS, RELEASED_MS), DEVICE)
    record = trials.open_record(text, [*DEVICE[1:], OTHER[0]])
    assert (record.is_ours, record.is_broken) == (True, False)
    assert not trials.open_record(text, [DEVICE[0], *OTHER[1:]]).is_ours


def test_a_record_of_another_device_is_told() -> None:
    text = trials.seal(begin(FIRST_MS, RELEASED_MS), OTHER)
    record = trials.open_record(text, DEVICE)
    assert (record.is_ours, record.is_broken) == (False, False)


@pytest.mark.parametrize("change", [{"first_ms": FIRST_MS + DAY_MS}, {"least_ms": FIRST_MS}, {"is_dated": False}])
def test_a_record_that_was_edited_is_told(change: dict[str, int]) -> None:
    trial = Trial(FIRST_MS, FIRST_MS + 9 * DAY_MS, is_dated=True)
    sealed, edited = trials.seal(trial, DEVICE), trials.seal(replace(trial, **change), DEVICE)
    forged = edited.partition('"seals"')[0] + '"seals"' + sealed.partition('"seals"')[2]
    assert trials.open_record(forged, DEVICE).is_broken


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "[]",
        "{}",
        "null",
        "[" * 9_000,
        '{"version": 2, "first_ms": 1, "least_ms": 2, "is_dated": true, "seals": {}}',
        '{"version": 1, "first_ms": 3, "least_ms": 2, "is_dated": true, "seals": {}}',
        '{"version": 1, "first_ms": -1, "least_ms": 2, "is_dated": true, "seals": {}}',
        '{"version": 1, "first_ms": 1.5, "least_ms": 2, "is_dated": true, "seals": {}}',
        '{"version": 1, "first_ms": true, "least_ms": 2, "is_dated": true, "seals": {}}',
        '{"version": 1, "first_ms": 1, "least_ms": 2, "is_dated": 1, "seals": {}}',
        '{"version": 1, "first_ms": 1, "least_ms": 1e300, "is_dated": true, "seals": {}}',
        '{"version": 1, "first_ms": 1, "least_ms": 2, "is_dated": true, "seals": 7}',
        " " * 20_000,
    ],
)
def test_it_refuses_what_is_no_record(text: str) -> None:
    with pytest.raises(BadInput, match="cannot be read"):
        trials.open_record(text, DEVICE)


def _kept(first_ms: int, least_ms: int, *, is_dated: bool = True) -> bytes:
    return trials.seal(Trial(first_ms, least_ms, is_dated), DEVICE).encode()


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (_kept(FIRST_MS, FIRST_MS), _kept(FIRST_MS + 1, FIRST_MS + 9)),
        (_kept(FIRST_MS, FIRST_MS + 9), _kept(FIRST_MS, FIRST_MS + 1)),
        (_kept(FIRST_MS, FIRST_MS), _kept(5, 9_000_000, is_dated=False)),
        (_kept(7, 9, is_dated=False), _kept(5, 6, is_dated=False)),
        (_kept(FIRST_MS, FIRST_MS), b"garbage"),
    ],
)
def test_of_two_records_the_stricter_is_kept(one: bytes, other: bytes) -> None:
    assert trials.stricter(one, other) == trials.stricter(other, one) == one
