"""The 30 days of trial: which moment counts, whatever clocks and copies of its record say (DESIGN §7).

A wall clock may be wrong, set back or forward, and a box may boot in 1970. What
cannot be wrong is how long billing ran (`Running`): `least_ms`, the earliest that
it can be now, goes on with every second of that, and follows the wall clock once
that was steady for a week of running. So a clock that is set back wins nothing,
and one that was ahead for some days takes nothing. Where the clock is seen to be
set within the first day, what the trial began with was wrong, and it is dated anew.
"""

import hashlib
import hmac
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import reduce

from coovox_billing.errors import BadInput

# Under these names the trial's record and the license are kept, in the data directory and in the persistent store.
TRIAL_FILE, LICENSE_FILE = "trial", "billing.license"
TRIAL_MS = 30 * 86_400_000
CONFIRMED_MS = 7 * 86_400_000
# So long a clock has to be steady until it dates a trial that began with a wrong one, and so long it may be corrected.
DATED_MS = 3_600_000
FIRST_DAY_MS = 86_400_000
# A clock that moves by more against the time that passed was set; while billing was off, days may have passed.
STEP_MS = 60_000
LONGEST_OFF_MS = 3 * 86_400_000
# An honest clock is corrected by so much, and no more.
TOLERANCE_MS = 3_600_000
MOST_BYTES = 16_384

_VERSION = 1
_LATEST_MS = 1 << 52


@dataclass(frozen=True, slots=True)
class Identifier:
    """What tells one device from another: what it is (`mac`, `emmc-cid`, …), and its value."""

    kind: str
    value: str


@dataclass(frozen=True, slots=True)
class Trial:
    """When billing was first activated, and the earliest that it can be now; both ms since 1970, UTC.

    Not `is_dated`: the clock was wrong all the time, and only what lies between the two is true.
    """

    first_ms: int
    least_ms: int
    is_dated: bool

    @property
    def over_ms(self) -> int:
        """When it is over, to the second of the first activation."""
        return self.first_ms + TRIAL_MS


def begin(now_ms: int, released_ms: int) -> Trial:
    """A trial that begins now; a clock that is behind the release of the product dates nothing."""
    return Trial(now_ms, now_ms, is_dated=now_ms >= released_ms)


def is_behind(trial: Trial, now_ms: int, released_ms: int) -> bool:
    """Whether the wall clock is wrong for certain."""
    return now_ms < released_ms or (trial.is_dated and now_ms < trial.least_ms - TOLERANCE_MS)


@dataclass(frozen=True, slots=True)
class Running:
    """How long billing ran, in ms, since the trial last took note of it, and what was seen of the wall clock meanwhile.

    It was steady for `steady_ms` of running, and last read `wall_ms`; `was_set`: it was seen to step.
    """

    ran_ms: int = 0
    steady_ms: int = 0
    was_set: bool = False
    wall_ms: int = 0

    def on(self, ran_ms: int, now_ms: int) -> "Running":
        """After another `ran_ms`, by our own clock, of running."""
        was_set = abs(now_ms - self.wall_ms - ran_ms) > STEP_MS
        steady_ms = 0 if was_set else self.steady_ms + ran_ms
        return Running(self.ran_ms + max(0, ran_ms), steady_ms, self.was_set or was_set, now_ms)

    def begun(self, now_ms: int) -> "Running":
        """After billing was off for a while."""
        return replace(self, steady_ms=self.steady_ms if self.fits(now_ms) else 0, wall_ms=now_ms)

    def fits(self, now_ms: int) -> bool:
        """Whether the wall clock may read that by itself."""
        return -STEP_MS <= now_ms - self.wall_ms <= LONGEST_OFF_MS

    def noted(self) -> "Running":
        """Once the trial has taken note of it."""
        return replace(self, ran_ms=0, was_set=False)


def go_on(trial: Trial, running: Running, now_ms: int, released_ms: int) -> Trial:
    """The trial after billing ran."""
    trial = replace(trial, least_ms=trial.least_ms + running.ran_ms)
    if now_ms < released_ms:
        return trial
    steady_ms = running.steady_ms if running.fits(now_ms) else 0
    lasted_ms = trial.least_ms - trial.first_ms
    anew = Trial(now_ms - lasted_ms, now_ms, is_dated=True)
    if not trial.is_dated:
        return anew if steady_ms >= DATED_MS else trial
    if running.was_set and lasted_ms < FIRST_DAY_MS:
        return anew
    if steady_ms < CONFIRMED_MS:
        return trial
    return anew if is_behind(trial, now_ms, released_ms) else replace(trial, least_ms=max(trial.least_ms, now_ms))


def is_over(trial: Trial, now_ms: int, released_ms: int) -> bool:
    """Whether 30 days have passed since the first activation."""
    reading_ms = trial.least_ms
    if trial.is_dated and not is_behind(trial, now_ms, released_ms):
        reading_ms = max(reading_ms, now_ms)
    return reading_ms >= trial.over_ms


def earliest(trials: Iterable[Trial]) -> Trial | None:
    """What several records of one trial say together: the earliest begin, and the most time; None of none."""
    return reduce(_together, trials, None)


def _together(known: Trial | None, other: Trial) -> Trial:
    if known is None or known == other:
        return other
    if known.is_dated != other.is_dated:
        dated, undated = (known, other) if known.is_dated else (other, known)
        ran_ms = undated.least_ms - undated.first_ms
        return replace(dated, least_ms=max(dated.least_ms, dated.first_ms + ran_ms))
    if known.is_dated:
        return Trial(min(known.first_ms, other.first_ms), max(known.least_ms, other.least_ms), is_dated=True)
    return max(known, other, key=lambda trial: trial.least_ms - trial.first_ms)


def stricter(one: bytes, other: bytes) -> bytes:
    """Of two kept records, whose seals nobody can check just now, the one that gives less time; `one` of equals."""
    return min((one, other), key=_strictness)


def _strictness(data: bytes) -> tuple[bool, bool, int, int]:
    try:
        trial = open_record(data.decode("utf-8", "replace"), ()).trial
    except BadInput:
        return True, False, 0, 0
    return False, not trial.is_dated, trial.first_ms if trial.is_dated else 0, -trial.least_ms


def seal(trial: Trial, identifiers: Sequence[Identifier]) -> str:
    """The record as it is kept, sealed by what identifies the device: a text of one line."""
    fields = {"version": _VERSION, "first_ms": trial.first_ms, "least_ms": trial.least_ms, "is_dated": trial.is_dated}
    seals = {_name(identifier): _mac(trial, identifier) for identifier in identifiers}
    return json.dumps({**fields, "seals": seals}) + "\n"


@dataclass(frozen=True, slots=True)
class Record:
    """A kept record: what it says, by how many of its seals, and how many of them are of this device and unbroken.

    Not `is_ours`: it was made on another device. `is_broken`: it is of this device, and was changed by hand.
    """

    trial: Trial
    seals: int
    known: int
    unbroken: int

    @property
    def is_ours(self) -> bool:
        """By the rule for licenses: two thirds of what identified the device do still."""
        return self.known > 0 and 3 * self.known >= 2 * self.seals

    @property
    def is_broken(self) -> bool:
        """Whether a seal that this device could have set does not fit."""
        return self.unbroken < self.known


def open_record(text: str, identifiers: Sequence[Identifier]) -> Record:
    """What `seal` wrote.

    Raises:
        BadInput: it cannot be read.
    """
    try:
        fields = json.loads(text if len(text) <= MOST_BYTES else "")
        version, seals = fields["version"], dict(fields["seals"])
        trial = Trial(fields["first_ms"], fields["least_ms"], fields["is_dated"])
    except (ValueError, TypeError, KeyError, RecursionError):
        raise BadInput("the trial's record cannot be read") from None
    if version != _VERSION or not _is_possible(trial):
        raise BadInput("the trial's record cannot be read")
    macs = {_name(identifier): _mac(trial, identifier) for identifier in identifiers}
    known = [name for name in macs if name in seals]
    unbroken = [name for name in known if hmac.compare_digest(macs[name], _ascii(seals[name]))]
    return Record(trial, len(seals), len(known), len(unbroken))


def _is_possible(trial: Trial) -> bool:
    moments = (trial.first_ms, trial.least_ms)
    are_numbers = all(type(moment) is int for moment in moments) and type(trial.is_dated) is bool
    return are_numbers and 0 <= trial.first_ms <= trial.least_ms <= _LATEST_MS


def _name(identifier: Identifier) -> str:
    """What is told of an identifier in the record: not itself."""
    return hashlib.sha256(b"\0".join((b"CooVox Billing trial name 1", *_parts(identifier)))).hexdigest()[:16]


def _mac(trial: Trial, identifier: Identifier) -> str:
    key = hashlib.sha256(b"\0".join((b"CooVox Billing trial key 1", *_parts(identifier)))).digest()
    said = f"{trial.first_ms} {trial.least_ms} {trial.is_dated}"
    return hmac.new(key, said.encode(), hashlib.sha256).hexdigest()


def _ascii(value: object) -> str:
    """What `compare_digest` takes, whatever somebody wrote into a record."""
    return ascii(value).strip("'")


def _parts(identifier: Identifier) -> tuple[bytes, bytes]:
    return identifier.kind.encode(), identifier.value.encode()
