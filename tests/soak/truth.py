"""What the soak's calls should have cost, from the trunks' own timestamps alone, and where the books say otherwise.

A leg's talk lasts from its 200 to its BYE, as the trunk's SIPp traced them. Where Asterisk could say no BYE, because
it was killed, or only later, because a hung call plane kept its hangup handler, what ended the talk is known from
elsewhere: the moment of the kill, the BYE of the telephone or of the leg that was talking with it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.asterisk.billing import steps
from tests.asterisk.trace import Leg
from tests.soak.kills import Death, Hang
from tests.soak.office import TARIFFS
from tests.soak.stories import EMERGENCY, EMERGENCY_LEG, Outside
from tests.soak.switchboard import Told

# So far from a second's boundary, what a leg lasted decides what it costs: so long a busy Asterisk may take from the
# wire to its stamp. The report tells how much of it was needed.
SLACK_SECONDS = 0.1
# A death is noticed when the connection ends: so long a busy machine takes to end a process and to tell.
NOTICED_SECONDS = 0.25
# So long before both were killed an end may have come, and not be on any disk yet.
TOLD_SECONDS = 0.2
CENT = 100  # 1/10,000
SHOWN = (
    "id",
    "extension",
    "state",
    "talk_seconds",
    "cost",
    "settled_by",
    "flags",
    "asked_at",
    "answered_at",
    "ended_at",
)
CLOSED = ("settled", "released", "refused")


@dataclass(frozen=True)
class Talk:
    """A leg talked for between `shortest` and `longest` seconds, by the trace; `seconds` are its whole ones.

    What is charged is at least a second where Asterisk `died` with it. `is_unseen`: nobody was left to see its end, so
    that it is charged to the last sign of life, which may be the answer.
    """

    shortest: float
    longest: float
    seconds: int
    died: bool = False
    is_unseen: bool = False

    @property
    def least_seconds(self) -> int:
        return 1 if self.is_unseen else int(max(0.0, self.shortest - SLACK_SECONDS))

    @property
    def most_seconds(self) -> int:
        slack_seconds = NOTICED_SECONDS if self.died else SLACK_SECONDS
        return max(self.least_seconds, int(self.longest + slack_seconds), int(self.died))

    def off_seconds(self, charged_seconds: int) -> float:
        """How far the trace is from a talk that would be charged so."""
        if self.died and charged_seconds == 1:
            return 0.0
        too_short = 0.0 if self.is_unseen else self.shortest - (charged_seconds + 1)
        return max(0.0, charged_seconds - self.longest, too_short)


@dataclass
class Findings:
    """Amounts are 1/10,000. `differences` are sentences; without any all is well."""

    answered: int = 0
    charged: int = 0
    independent: int = 0
    uncollected: int = 0
    at_a_boundary: int = 0
    held_up: int = 0
    second_more: int = 0
    second_less: int = 0
    furthest_seconds: float = 0.0
    furthest_dead_seconds: float = 0.0
    late: int = 0
    unseen_legs: int = 0
    unseen_charged: int = 0
    unseen_lost_seconds: int = 0
    free_without_row: int = 0
    flags: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    differences: list[str] = field(default_factory=list)


def compare(
    told: Iterable[Told],
    legs: Iterable[Leg],
    rows: Sequence[dict[str, Any]],
    deaths: Sequence[Death],
    hangs: Sequence[Hang],
) -> Findings:
    """Hold every answered leg against its row, and every row against its leg."""
    comparison = _Comparison(list(told), [leg for leg in legs if _is_talk(leg)], deaths, hangs)
    return comparison.of(rows)


def cost_of(tariff: str, talk_seconds: int) -> int:
    """In 1/10,000; the tariff '' costs nothing."""
    if not tariff or talk_seconds <= 0:
        return 0
    initial_cents, initial_seconds, unit_cents, unit_seconds = TARIFFS[tariff]
    units = -(-max(0, talk_seconds - initial_seconds) // unit_seconds)
    return (initial_cents + units * unit_cents) * CENT


class _Comparison:
    def __init__(self, told: list[Told], legs: list[Leg], deaths: Sequence[Death], hangs: Sequence[Hang]) -> None:
        self._legs: dict[str, list[Leg]] = defaultdict(list)
        for leg in legs:
            self._legs[leg.number].append(leg)
        self._told = {outside.leg_number: one for one in told for outside in one.story.outside}
        self._outside = {outside.leg_number: outside for one in told for outside in one.story.outside}
        self._deaths, self._hangs = deaths, hangs
        self._found = Findings()

    def of(self, rows: Sequence[dict[str, Any]]) -> Findings:
        by_number: dict[str, list[dict[str, Any]]] = defaultdict(list)
        for row in rows:
            by_number[row["number"]].append(row)
            self._look_at(row)
        for number, legs in self._legs.items():
            self._found.answered += len(legs)
            if number != EMERGENCY_LEG:
                self._match(legs, by_number[self._outside[number].row_number])
        self._match_emergencies(by_number[EMERGENCY])
        return self._found

    def _look_at(self, row: dict[str, Any]) -> None:
        found = self._found
        found.late += row["settled_late"]
        found.uncollected += steps(row["uncollected"])
        for flag in row["flags"]:
            found.flags[flag] += 1
        if row["state"] not in CLOSED:
            self._differs(row, f"is still {row['state']}")
        if row["held"] != "0.0000":
            self._differs(row, f"still holds {row['held']}")
        if steps(row["uncollected"]) and "alone" not in row["flags"]:
            self._differs(row, "was promised more than there was money for")
        if (row["talk_seconds"] or steps(row["cost"])) and not self._legs.get(_leg_number(row["number"])):
            self._differs(row, "is charged, but no trunk answered")

    def _match(self, legs: list[Leg], rows: list[dict[str, Any]]) -> None:
        leg, outside = legs[0], self._outside[legs[0].number]
        if len(legs) > 1:
            self._found.differences.append(f"{outside.row_number}: the trunks answered {len(legs)} times")
        settled = [row for row in rows if row["state"] == "settled"]
        talk = self._talk_of(leg, settled)
        if len(settled) == 1:
            self._hold_against(leg, outside, talk, settled[0])
        elif settled:
            self._found.differences.append(f"{outside.row_number}: {len(settled)} rows are charged for one leg")
        elif self._may_be_free(leg, outside, talk):
            self._found.free_without_row += 1
        else:
            self._found.differences.append(
                f"{outside.row_number}: free, though it talked {_span(leg, talk)}; {[_brief(row) for row in rows]}"
            )

    def _may_be_free(self, leg: Leg, outside: Outside, talk: Talk) -> bool:
        """Only where its answer crossed the caller's end, or Asterisk died with it, just answered or free anyway."""
        if self._death_after(leg) is None:
            return talk.longest <= SLACK_SECONDS
        had_just_begun = talk.is_unseen and talk.most_seconds <= 1
        return had_just_begun or cost_of(outside.tariff, talk.least_seconds) == 0

    def _hold_against(self, leg: Leg, outside: Outside, talk: Talk, row: dict[str, Any]) -> None:
        """The costs must be those of some talk that is possible: one second of choice at a boundary, none elsewhere."""
        found, cost = self._found, steps(row["cost"])
        if not talk.least_seconds <= row["talk_seconds"] <= talk.most_seconds:
            found.differences.append(f"{outside.row_number}: talked {_span(leg, talk)}; {_brief(row)}")
        expected = cost_of(outside.tariff, row["talk_seconds"])
        if cost != expected:
            found.differences.append(f"{outside.row_number}: costs {expected}/10000, charged {cost}; {_brief(row)}")
        off_seconds = talk.off_seconds(row["talk_seconds"])
        if talk.died:
            found.furthest_dead_seconds = max(found.furthest_dead_seconds, off_seconds)
        else:
            found.furthest_seconds = max(found.furthest_seconds, off_seconds)
        if talk.is_unseen:
            found.unseen_legs += 1
            found.unseen_charged += cost
            found.unseen_lost_seconds += max(0, int(talk.longest) - row["talk_seconds"])
            if "lost" not in row["flags"]:
                found.differences.append(
                    f"{outside.row_number}: nobody saw its end, and no flag says so; {_brief(row)}"
                )
            return
        found.at_a_boundary += talk.least_seconds < talk.most_seconds
        found.second_more += row["talk_seconds"] > talk.seconds
        found.second_less += row["talk_seconds"] < talk.seconds
        found.charged += cost
        nearest = min(max(row["talk_seconds"], talk.least_seconds), talk.most_seconds)
        found.independent += cost_of(outside.tariff, nearest)

    def _talk_of(self, leg: Leg, settled: list[dict[str, Any]]) -> Talk:
        began, death = leg.answered_at or 0.0, self._death_after(leg)
        if death is not None and self._was_told(leg, death, settled):
            death = None
        ends = [moment for moment in (leg.ended_at, self._other_end(leg)) if moment is not None and moment >= began]
        if death is not None:
            ends = [moment for moment in ends if moment <= death.to_at] or [death.from_at, death.to_at]
        if not ends:
            self._found.differences.append(f"{leg.number}: never ended")
            ends = [began]
        shortest, longest = min(ends) - began, max(ends) - began
        if death is not None:
            return Talk(shortest, longest, int(shortest), died=True, is_unseen=death.is_unseen)
        hang = self._hang_around(leg, min(ends))
        if hang is None:
            return Talk(shortest, longest, int(shortest))
        self._found.held_up += 1
        return Talk(min(shortest, hang.from_at - began), longest, int(shortest))

    def _death_after(self, leg: Leg) -> Death | None:
        """The death of Asterisk that the leg fell victim to."""
        began = leg.answered_at or 0.0
        death = next((death for death in self._deaths if death.to_at > began), None)
        if death is None:
            return None
        told_seconds = TOLD_SECONDS if death.is_unseen else 0.0
        return None if leg.ended_at is not None and leg.ended_at < death.from_at - told_seconds else death

    def _was_told(self, leg: Leg, death: Death, settled: list[dict[str, Any]]) -> bool:
        """Whether the books say that its end, just before the death, was seen: then it is held to the letter."""
        is_booked = any("lost" not in row["flags"] for row in settled)
        return is_booked and leg.ended_at is not None and leg.ended_at < death.from_at

    def _hang_around(self, leg: Leg, ended_at: float) -> Hang | None:
        """The hung call plane that may have held up an end which nobody outside had asked for: a limit's."""
        is_asked_for = leg.ended_by == "us" or self._other_end_is_asked_for(leg)
        hangs = (hang for hang in self._hangs if hang.from_at <= ended_at <= hang.to_at)
        return None if is_asked_for else next(hangs, None)

    def _other_end(self, leg: Leg) -> float | None:
        """When whoever talked with the leg hung up, where that is for certain what ended it."""
        if leg.ended_by == "us":
            return None
        told, first = self._told[leg.number], self._first_of(leg)
        if first is not None:
            return first.ended_at
        return None if told.story.transfers else told.hung_up_at

    def _other_end_is_asked_for(self, leg: Leg) -> bool:
        """Whether somebody hung up who talked with the leg, at a moment that is on somebody's trace."""
        told, first = self._told[leg.number], self._first_of(leg)
        if first is not None:
            return first.ended_by == "us"
        return told.itself and not told.story.transfers

    def _first_of(self, leg: Leg) -> Leg | None:
        """The leg that a transfer joined with this one; none where it had ended before the telephone was out."""
        told = self._told[leg.number]
        for first in self._legs.get(told.story.outside[0].leg_number, []):
            is_out = told.hung_up_at is not None and (first.ended_at is None or told.hung_up_at < first.ended_at)
            if first.number != leg.number and is_out:
                return first
        return None

    def _match_emergencies(self, rows: list[dict[str, Any]]) -> None:
        """They are free, and one that Asterisk's death ended may have left no row."""
        legs = self._legs.get(EMERGENCY_LEG, [])
        settled = [row for row in rows if row["state"] == "settled"]
        died = sum(self._death_after(leg) is not None for leg in legs)
        if not len(legs) - died <= len(settled) <= len(legs):
            self._found.differences.append(f"{len(legs)} emergency calls were answered, {len(settled)} are booked")
        self._found.free_without_row += len(legs) - len(settled)

    def _differs(self, row: dict[str, Any], what: str) -> None:
        self._found.differences.append(f"{row['number']}: {what}; {_brief(row)}")


def _is_talk(leg: Leg) -> bool:
    """Whether it was answered and the answer was taken: an Asterisk that died meanwhile acknowledges nothing."""
    return leg.answered and any(message.first_line.startswith("ACK ") for message in leg.messages)


def _brief(row: dict[str, Any]) -> str:
    return ", ".join(f"{name} {row.get(name)}" for name in SHOWN)


def _leg_number(row_number: str) -> str:
    return EMERGENCY_LEG if row_number == EMERGENCY else row_number[1:]


def _span(leg: Leg, talk: Talk) -> str:
    exact = "" if leg.talk_seconds is None else f" ({leg.talk_seconds:.3f} s at the trunk)"
    return f"{talk.least_seconds} to {talk.most_seconds} s{exact}"
