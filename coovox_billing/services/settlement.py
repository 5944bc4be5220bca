"""The end of a call in the database: what it cost is charged, once and whatever died (DESIGN §5).

Each function is a job for `Database.write` and may be repeated: what was done
already is not done again.
"""

import sqlite3
from dataclasses import dataclass

from coovox_billing.core import clock, decision, leg, rating, why
from coovox_billing.core.call import (
    ALONE,
    ARCHIVED,
    CLOCK,
    CORRECTED,
    LOST,
    UNCOLLECTED,
    Event,
    Source,
    State,
    is_late,
    next_state,
)
from coovox_billing.core.clock import OwnTime
from coovox_billing.core.leg import Leg
from coovox_billing.core.money import format_amount
from coovox_billing.core.rating import Charge
from coovox_billing.core.tariff import NO_RATE, Rate
from coovox_billing.core.why import Line
from coovox_billing.services.calls import account_view, call_of_answered, decide_number, end_columns, release
from coovox_billing.store import reads, writes
from coovox_billing.store.call_changes import CallChange, CallRow
from coovox_billing.store.writes import Place

ACTOR = "call"
LEAST_TALK_SECONDS = 1
NOTHING_SAID = why.stored([])


def settle(
    connection: sqlite3.Connection,
    call_id: str,
    ended: Leg,
    own: OwnTime,
    now_ms: int,
    source: Source = Source.SETTLE,
) -> CallChange | None:
    """Charge an answered leg: talk from its stamps and our own time, price from the call's own rate.

    A call that was thought over, or that the dialplan let pass alone, is
    settled late, one that was archived as unanswered too; one that was closed
    by rule is corrected. A leg that nobody answered changes nothing here, nor
    does what is told of a call that was archived with its charge.
    """
    if ended.answered_ms is None:
        return None
    call = call_of_answered(connection, call_id, ended)
    if call is None:
        return None
    following = _state_after(call)
    if following is None:
        return None
    # What the dialplan let pass alone it gave no limit, whatever an answer that it did not hear said.
    limit_seconds = None if ended.alone else call["limit_seconds"]
    talk = clock.talk_time(ended.answered_ms, ended.ended_ms, own, limit_seconds, ended.asked_ms)
    flags = set(call["flags"].split())
    if LOST in flags:
        flags = flags - {LOST} | {CORRECTED}
    if talk.clock_was_off:
        flags.add(CLOCK)
    if ended.alone == leg.PASSED_ALONE:
        flags.add(ALONE)
    return _close(connection, call, following, _Ending(ended, talk.seconds, frozenset(flags), source), now_ms)


def lose(connection: sqlite3.Connection, call_id: str, talked_seconds: int, now_ms: int) -> CallChange | None:
    """Close a call by rule: it is over, and nobody can tell how it ended. A person is shown it by its flag.

    One that nobody is known to have answered is released. An answered one is charged for the talk up to its last
    sign of life, `talked_seconds`, at least for a second and for no more than was promised.
    """
    call = reads.call(connection, call_id)
    if call is None:
        return None
    flags = frozenset({*call["flags"].split(), LOST})
    following = next_state(State(call["state"]), Event.LOSE)
    if following is State.RELEASED:
        columns = {"flags": " ".join(sorted(flags)), "settled_by": Source.RULE}
        return release(connection, call, Event.LOSE, ended_at_ms=now_ms, **columns)
    if following is not State.SETTLED:
        return None
    seconds = max(LEAST_TALK_SECONDS, talked_seconds)
    if call["promised_seconds"] is not None:
        seconds = min(seconds, call["promised_seconds"])
    ended = leg_of_call(call, call["answered_at_ms"], call["answered_at_ms"] + seconds * 1000)
    return _close(connection, call, following, _Ending(ended, seconds, flags, Source.RULE), now_ms)


def leg_of_call(call: CallRow, answered_ms: int, ended_ms: int) -> Leg:
    """The record of a leg that the dialplan did not write, from the call's row and two stamps."""
    return Leg(
        device=call["device"],
        number=call["number_dialed"],
        trunk=call["trunk"],
        asked_ms=call["attempt_stamp_ms"],
        alone=leg.PASSED_ALONE if ALONE in call["flags"].split() else "",
        answered_ms=answered_ms,
        ended_ms=ended_ms,
        cause=call["hangup_cause"],
        uniqueid=call["trunk_uniqueid"],
        linkedid=call["linkedid"],
    )


@dataclass(frozen=True, slots=True)
class _Ending:
    """How a call ended, as far as is known, and who told."""

    leg: Leg
    talk_seconds: int
    flags: frozenset[str]
    source: Source


def _state_after(call: CallRow) -> State | None:
    """The truth about a call that was closed by rule corrects it; about any other closed one it is no news."""
    state = State(call["state"])
    was_lost = LOST in call["flags"].split()
    return next_state(state, Event.CORRECT if was_lost and state is State.SETTLED else Event.SETTLE)


def _close(connection: sqlite3.Connection, call: CallRow, following: State, ending: _Ending, now_ms: int) -> CallChange:
    state, ended = State(call["state"]), ending.leg
    price = _price(connection, call)
    trunk = ended.trunk or call["trunk"]
    tolls = _Tolls(price.rate, _billed_seconds(call, ending.talk_seconds), _free_seconds(connection, call, trunk))
    charge, moved = _charge(connection, call, tolls.cost_micros, now_ms)
    flags = ending.flags | {UNCOLLECTED} if charge.uncollected_micros else ending.flags - {UNCOLLECTED}
    change = writes.move_call(
        connection,
        call,
        following,
        reason=price.reason,
        trunk=trunk,
        free_seconds=tolls.free_seconds,
        answered_at_ms=ended.answered_ms,
        ended_at_ms=ended.ended_ms,
        talk_seconds=ending.talk_seconds,
        hold_micros=0,
        cost_micros=charge.cost_micros,
        uncollected_micros=charge.uncollected_micros,
        rate=price.snapshot,
        why=why.stored_after(price.why, [*_why_closed(state, ending), *tolls.why, *moved]),
        settled_late=_is_late(state, ending),
        settled_by=ending.source,
        flags=" ".join(sorted(flags)),
        trunk_uniqueid=ended.uniqueid,
        linkedid=ended.linkedid or call["linkedid"],
        **end_columns(ended),
    )
    now = _place(call, trunk, price.rate)
    _count(connection, call, now, ending.talk_seconds, charge.cost_micros)
    return change


def _is_late(state: State, ending: _Ending) -> bool:
    return ending.leg.alone != leg.EMERGENCY and (is_late(state) or ending.source is not Source.SETTLE)


def _count(connection: sqlite3.Connection, call: CallRow, now: Place, talk_seconds: int, cost_micros: int) -> None:
    """Enter the call in the totals of its day; what a close by rule had entered is taken out again."""
    if call["state"] == State.SETTLED:
        before = _place(call, call["trunk"], reads.rate_of_snapshot(call["rate"]) if call["rate"] else None)
        writes.add_to_totals(connection, before, -1, -call["talk_seconds"], -call["cost_micros"])
    writes.add_to_totals(connection, now, 1, talk_seconds, cost_micros)


def _place(call: CallRow, trunk: str, rate: Rate | None) -> Place:
    destination = NO_RATE if rate is None else rate.prefix
    return Place(call["local_day"], call["account_id"], trunk, call["local_hour"], destination)


@dataclass(frozen=True, slots=True)
class _Price:
    """A rate (or none) and its snapshot; `why` it, as it is stored."""

    rate: Rate | None
    snapshot: str | None
    reason: str
    why: str


def _price(connection: sqlite3.Connection, call: CallRow) -> _Price:
    """The rate that a call began with; one that was refused, or never asked for, is rated as of its dialing."""
    if call["rate"] and call["state"] != State.REFUSED:
        return _Price(reads.rate_of_snapshot(call["rate"]), call["rate"], call["reason"], call["why"])
    if call["state"] not in (State.ASKED, State.REFUSED) and call["reason"] != "billing-down":
        return _Price(None, None, call["reason"], call["why"])
    if call["reason"] == leg.EMERGENCY or call["account_id"] is None:
        return _Price(None, None, call["reason"], NOTHING_SAID)
    account = dict(reads.account(connection, call["account_id"]), status="unlocked")
    verdict = decide_number(connection, account, call["number"], reads.site(connection), call["asked_at_ms"])
    if not account["billing"]:
        return _Price(None, None, verdict.reason, NOTHING_SAID)
    snapshot = None if verdict.rate is None else reads.rate_snapshot(verdict.rate)
    return _Price(verdict.rate, snapshot, call["reason"], why.stored(decision.explain_choice(verdict.choice)))


def _why_closed(state: State, ending: _Ending) -> list[Line]:
    lines = [why.ARCHIVED()] if ARCHIVED in ending.flags and state is not State.SETTLED else []
    if ending.source is Source.RULE:
        return [*lines, why.LOST()]
    return [*lines, why.CORRECTED()] if state is State.SETTLED else lines


@dataclass(frozen=True, slots=True)
class _Tolls:
    """What is charged for: a rate (or none), seconds of talk, and how many of them are free on this trunk."""

    rate: Rate | None
    talk_seconds: int
    free_seconds: int

    @property
    def cost_micros(self) -> int:
        return 0 if self.rate is None else rating.cost_of_talk(self.rate, self.talk_seconds, self.free_seconds)

    @property
    def why(self) -> list[Line]:
        """The lines of *why this price* about the talk."""
        return [] if self.rate is None else decision.explain_talk(self.rate, self.talk_seconds, self.free_seconds)


def _charge(connection: sqlite3.Connection, call: CallRow, cost: int, now_ms: int) -> tuple[Charge, list[Line]]:
    """Take the cost from the account and free the hold; also tells what moved, as lines of *why this price*.

    What was charged before, by rule, is brought to the true cost by a correcting entry.
    """
    if call["account_id"] is None:
        return Charge(cost, 0, cost), []
    before_micros = call["cost_micros"] - call["uncollected_micros"]
    available = _available_micros(connection, call)
    charge = rating.charge(cost, call["hold_micros"], available, before_micros)
    lines: list[Line] = []
    if more_micros := charge.charged_micros - before_micros:
        kind, reason = ("correction", why.sentence(why.CORRECTED())) if call["state"] == State.SETTLED else ("call", "")
        entry = {"call_id": call["call_id"], "reason": reason, "freed_micros": call["hold_micros"]}
        balance = writes.post(connection, call["account_id"], kind, -more_micros, ACTOR, now_ms, **entry)
        lines.append(why.BALANCE_MOVED(format_amount(balance + more_micros), format_amount(balance)))
    elif call["hold_micros"]:
        writes.change_hold(connection, call["account_id"], -call["hold_micros"])
    if charge.uncollected_micros:
        lines.append(why.NOT_COLLECTED(format_amount(charge.uncollected_micros)))
    return charge, lines


def _available_micros(connection: sqlite3.Connection, call: CallRow) -> int:
    """What the account has beside the call's hold; nothing of a guest's who came after the call was dialed."""
    account = reads.account(connection, call["account_id"])
    is_of_another_guest = account["checked_in_at_ms"] is not None and call["asked_at_ms"] < account["checked_in_at_ms"]
    return 0 if is_of_another_guest else account_view(account).available_micros


def _billed_seconds(call: CallRow, talk_seconds: int) -> int:
    """Where billing was deactivated during the call, the talk up to then."""
    billable: int | None = call["billable_seconds"]
    return talk_seconds if billable is None else min(talk_seconds, billable)


def _free_seconds(connection: sqlite3.Connection, call: CallRow, trunk: str) -> int:
    """What the call began with; for a leg over a trunk that billing was not asked about, what its name says."""
    if trunk == call["trunk"]:
        return int(call["free_seconds"])
    return reads.free_seconds_of(connection, trunk)
