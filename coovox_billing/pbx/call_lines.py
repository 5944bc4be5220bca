"""What the log says of each call: all its words are here, one line per event, each beginning with `call ID`.

A line is made from the call's row before and after a change, once that is on disk, so it says nothing that the call
log does not. The order is always the same: what happened; who; what; how much. Amounts are of the site's currency.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import TypeVar

from coovox_billing.core.call import ALONE, CORRECTED, LOST, Source, State
from coovox_billing.core.money import format_amount
from coovox_billing.store import reads
from coovox_billing.store.call_changes import CallChange, CallFacts

T = TypeVar("T")

TOLD_BY: dict[str, str] = {
    Source.SETTLE: "told at its end",
    Source.ASTDB: "late, told by AstDB",
    Source.CEL: "late, told by CEL",
    Source.CDR: "late, told by CDR",
    Source.RULE: "closed by rule, for nobody told how it ended",
}

log = logging.getLogger(__name__)


# Who counts what the log tells, whether or not it is logged.
Listener = Callable[[CallFacts | None, CallFacts], None]
listeners: list[Listener] = []


def tell(call_id: str, change: CallChange | None, note: str = "") -> None:
    """Log what became of a call, where a job that is on disk changed anything; `note` ends a line about a question."""
    if change is None or change.before == change.after or not (listeners or log.isEnabledFor(logging.INFO)):
        return
    before, after = change.before, change.after
    for listener in listeners:
        listener(before, after)
    was = None if before is None else before.state
    if after.state in (State.HELD, State.REFUSED) and was not in (State.HELD, State.TALKING):
        _say(call_id, f"{_asked(after)}{note}", alike=_same_try("asked", after))
    elif after.state == State.HELD:
        _say(call_id, f"tried again: {_who(after)} over {_trunk(after)}{note}", alike=_same_try("again", after))
    elif after.state == State.TALKING and was != State.TALKING:
        _say(call_id, answered_line(after))
    elif after.state == State.RELEASED:
        _say(call_id, unanswered_line(after, before), alike=_same_try("unanswered", after))
    elif after.state == State.SETTLED:
        _say(call_id, ended_line(after))


def teller(
    call_id: str, change_in: Callable[[T], CallChange | None], note: str = ""
) -> "Callable[[asyncio.Future[T]], None]":
    """What tells of the change in a job's result once it is on disk, as a callback of its future."""

    def told(done: "asyncio.Future[T]") -> None:
        if not done.cancelled() and done.exception() is None:
            # A turn later, so that it comes after whoever waits for the same, such as the caller.
            done.get_loop().call_soon(tell, call_id, change_in(done.result()), note)

    return told


def tell_lengthened(call_id: str, bought_seconds: int, hold_micros: int, limit_seconds: int | None) -> None:
    """A further stretch of talk was bought."""
    limit = "without limit" if limit_seconds is None else f"ends at {limit_seconds} s of talk if no more is bought"
    _say(call_id, f"lengthened: by {bought_seconds} s, holds {format_amount(hold_micros)}, {limit}")


def tell_warned(call_id: str, left_seconds: int) -> None:
    """The caller was told that the money is nearly out."""
    _say(call_id, f"warned: the caller hears that {left_seconds} s are left")


def tell_moved(call_id: str, channel: str) -> None:
    """The trunk's leg goes on on another channel, as after a transfer."""
    _say(call_id, f"moved: goes on on channel {channel}")


def tell_cut(call_id: str, talked_seconds: int) -> None:
    """Asterisk was told to hang up."""
    _say(call_id, f"cut: Asterisk hangs it up after {talked_seconds} s of talk", alike=("cut", call_id))


def tell_limit(call_id: str, limit_seconds: int | None) -> None:
    """Asterisk was told where to cut; logged in detail alone."""
    limit = "no limit" if limit_seconds is None else f"{limit_seconds} s of talk"
    log.debug("call %s limit: Asterisk was told %s", call_id, limit, extra={"alike": None})


def tell_archived(call_id: str, source: Source) -> None:
    """What was told of an answered leg is dropped, for it is of a call that was archived with its charge."""
    _say(call_id, f"told again: by {source} after it was archived with its charge, so nothing changes")


def _asked(call: CallFacts) -> str:
    again = f" again (attempt {call.attempts})" if call.attempts > 1 else ""
    return f"asked{again}: {_who(call)} dials {_number(call)} over {_trunk(call)}: {_verdict(call)}"


def _verdict(call: CallFacts) -> str:
    if call.state == State.REFUSED:
        return f"refused, {call.reason}"
    if call.promised_seconds is None:
        return f"passes, {call.reason or 'without limit'}"
    held = f"{format_amount(call.hold_micros)} held for {call.promised_seconds} s"
    return f"passes, {_rate(call)}, {held}, limit {call.limit_seconds} s"


def answered_line(call: CallFacts) -> str:
    """Somebody talks."""
    alone = ", which the dialplan let pass alone" if ALONE in call.flags.split() else ""
    return f"answered: {_who(call)} talks with {_number(call)} over {_trunk(call)}, {_rang(call)}{alone}"


def unanswered_line(call: CallFacts, before: CallFacts | None) -> str:
    """Nobody answered, and what was held is free."""
    freed = format_amount(before.hold_micros if before else 0)
    why = (
        TOLD_BY[Source.RULE] if LOST in call.flags.split() else call.reason or f"cause {call.hangup_cause or 'unknown'}"
    )
    return f"unanswered: {_who(call)} and {_number(call)} over {_trunk(call)}, {why}, {freed} freed"


def ended_line(call: CallFacts) -> str:
    """The call is over: talk, cost, and who told."""
    flags = call.flags.split()
    word = "corrected" if CORRECTED in flags else "ended"
    short = (
        f", {format_amount(call.uncollected_micros)} of it could not be collected" if call.uncollected_micros else ""
    )
    told_by = TOLD_BY.get(call.settled_by, "nobody knows who told")
    marks = f", flags {' '.join(flags)}" if flags else ""
    why = f", {call.reason}" if call.reason else ""
    cost = f"cost {format_amount(call.cost_micros)}{why}{short}"
    return (
        f"{word}: {_who(call)} and {_number(call)} over {_trunk(call)}, {call.talk_seconds} s of talk, {cost}, "
        f"{told_by}{marks}"
    )


def _rang(call: CallFacts) -> str:
    if call.answered_at_ms is None:
        return "nobody knows when"
    return f"after {max(0, call.answered_at_ms - call.attempt_stamp_ms) / 1000:.0f} s"


def _who(call: CallFacts) -> str:
    if not call.extension:
        return f"nobody ({call.device or 'no device'})"
    return f"{call.extension} ({call.device})" if call.device else call.extension


def _number(call: CallFacts) -> str:
    return call.number_dialed[:80] or "no number"


def _trunk(call: CallFacts) -> str:
    return call.trunk or "no trunk"


def _rate(call: CallFacts) -> str:
    if call.rate is None:
        return "no rate"
    rate = reads.rate_of_snapshot(call.rate)
    return f"rate {rate.id} ({rate.remark})" if rate.remark else f"rate {rate.id}"


def _same_try(event: str, call: CallFacts) -> tuple[str, ...]:
    """What a telephone repeats that dials again and again."""
    return event, call.device, call.number_dialed, call.state, call.reason


def _say(call_id: str, text: str, alike: tuple[str, ...] | None = None) -> None:
    log.info("call %s %s", call_id, text, extra={"alike": alike})
