"""The life of a call in the database until somebody answers: authorize, give up, withdraw (DESIGN §5).

Each function is a job for `Database.write` and may be repeated: what was done
already is not done again. The rules are `core`'s; here they meet the accounts.
"""

import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from coovox_billing.core import clock, decision, dialed_number, leg, payer, why
from coovox_billing.core.call import ARCHIVED, LOST, Event, State, late_id, next_state
from coovox_billing.core.decision import AccountView, Verdict
from coovox_billing.core.dial_options import bypassing_options, vanishing_destinations
from coovox_billing.core.leg import Leg
from coovox_billing.core.money import format_amount
from coovox_billing.core.payer import Origin
from coovox_billing.core.site_settings import Site
from coovox_billing.core.tariff import Rate
from coovox_billing.core.trunk import least_free_seconds
from coovox_billing.core.why import Line
from coovox_billing.errors import BadInput
from coovox_billing.services import accounts, trunks
from coovox_billing.store import reads, writes
from coovox_billing.store.call_changes import CallChange, CallRow

_INACTIVE = Verdict(passes=True, reason="not-active")

AccountRow = Mapping[str, Any] | sqlite3.Row


@dataclass(frozen=True, slots=True)
class Question:
    """What the dialplan asks before an outbound call.

    `stamp_ms` is its own, and names the attempt. `ring_limit_seconds`: how long it may ring, None for ever.
    """

    call_id: str
    stamp_ms: int
    number_dialed: str
    trunk: str
    dial_string: str
    dial_options: str
    origin: Origin
    uniqueid: str
    linkedid: str
    ring_limit_seconds: int | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """What the dialplan gets: `limit_seconds` is None for a call without limit. `change`: what was made of the call."""

    passes: bool
    reason: str
    limit_seconds: int | None
    change: CallChange | None = field(default=None, compare=False)


def authorize(connection: sqlite3.Connection, question: Question, now_ms: int, by_stretches: bool = False) -> Answer:
    """Decide about a call and hold its money: for a first stretch, or for all that the money affords.

    The same question again gets the same answer. A further attempt of an
    unanswered call is decided anew, on the same row.
    """
    known = reads.call(connection, question.call_id)
    if known is not None and known["state"] != State.RELEASED:
        return _answer_again(connection, known, question)
    site, known_trunks, gateways = reads.premises(connection)
    dialed = payer.trunks_of(question.dial_string)
    new_trunks = trunks.unknown(connection, dialed, known_trunks)
    who = payer.find_payer(question.origin, known_trunks.keys() | new_trunks, gateways)
    account = _account_of(connection, who, site, now_ms)
    asked_ms = now_ms if known is None else known["asked_at_ms"]
    verdict, number = _decide(connection, question, account, site, asked_ms, by_stretches)
    columns = _asked_columns(question, account, verdict)
    columns["free_seconds"] = least_free_seconds(dialed, known_trunks)
    if known is None:
        dialed_at = _dialed_at(asked_ms, site)
        change = _insert_asked(connection, question, verdict, number=number, **dialed_at, **columns)
    else:
        change = _ask_again(connection, known, verdict, columns)
    if account is not None and verdict.hold_micros:
        writes.change_hold(connection, account["id"], verdict.hold_micros)
    if verdict.passes:
        trunks.learn(connection, new_trunks, question.trunk, site)
        trunks.take_name(connection, dialed, question.trunk, known_trunks)
    return Answer(verdict.passes, verdict.reason, verdict.limit_seconds, change)


def give_up(connection: sqlite3.Connection, call_id: str, ended: Leg) -> CallChange | None:
    """The caller's side ended without an answer: what was held is free again.

    The end of an earlier attempt, heard late, changes nothing. A call that
    the dialplan decided alone gets its row here.
    """
    call = reads.call(connection, call_id)
    if call is None:
        if ended.alone and reads.archived_call(connection, call_id) is None:
            return _insert_alone_unanswered(connection, call_id, ended)
        return None
    if ended.asked_ms != call["attempt_stamp_ms"]:
        return None
    reason = "billing-down" if ended.alone else call["reason"]
    return release(connection, call, Event.GIVE_UP, reason=reason, ended_at_ms=ended.ended_ms, **end_columns(ended))


def withdraw(connection: sqlite3.Connection, call_id: str, stamp_ms: int, now_ms: int) -> CallChange | None:
    """Free the money of an answer that was ready too late for Asterisk to hear it; not that of a later attempt."""
    call = reads.call(connection, call_id)
    if call is None or call["attempt_stamp_ms"] != stamp_ms:
        return None
    return release(connection, call, Event.GIVE_UP, reason="billing-down", ended_at_ms=now_ms)


def release(connection: sqlite3.Connection, call: CallRow, event: Event, **columns: Any) -> CallChange | None:
    """The call is over and nobody answered, as far as is known: nothing is held for it any more."""
    state = State(call["state"])
    following = next_state(state, event)
    if following is None:
        return None
    if call["hold_micros"]:
        writes.change_hold(connection, call["account_id"], -call["hold_micros"])
    return writes.move_call(connection, call, following, hold_micros=0, **columns)


def _answer_again(connection: sqlite3.Connection, call: CallRow, question: Question) -> Answer:
    """The end of an earlier attempt may have been lost, so a held call may be dialed over another trunk."""
    state = State(call["state"])
    if state is State.HELD:
        columns = {"trunk": question.trunk, "attempt_stamp_ms": question.stamp_ms}
        if question.stamp_ms != call["attempt_stamp_ms"]:
            dialed = payer.trunks_of(question.dial_string)
            columns["free_seconds"] = least_free_seconds(dialed, reads.trunks(connection))
        change = writes.move_call(connection, call, state, **columns)
        return Answer(True, call["reason"], call["limit_seconds"], change)
    return Answer(False, call["reason"] if state is State.REFUSED else "call-over", None)


def _insert_asked(connection: sqlite3.Connection, question: Question, verdict: Verdict, **columns: Any) -> CallChange:
    state = next_state(State.ASKED, _event(verdict))
    return writes.insert_call(
        connection, call_id=question.call_id, state=state, number_dialed=question.number_dialed, **columns
    )


def _dialed_at(asked_ms: int, site: Site) -> dict[str, Any]:
    """When a call was dialed, with its day and hour, which it keeps whatever zone is set later (DESIGN §9)."""
    local = clock.local_moment(asked_ms, site.time_zone)
    return {"asked_at_ms": asked_ms, "local_day": local.date().isoformat(), "local_hour": local.hour}


def _ask_again(connection: sqlite3.Connection, call: CallRow, verdict: Verdict, columns: dict[str, Any]) -> CallChange:
    """A further attempt, on the row of the first."""
    following = next_state(State.RELEASED, _event(verdict))
    assert following is not None  # noqa: S101  the table holds both
    begun_again = {
        "attempts": call["attempts"] + 1,
        "ended_at_ms": None,
        "flags": " ".join(flag for flag in call["flags"].split() if flag != LOST),
        "settled_by": "",
    }
    return writes.move_call(connection, call, following, **begun_again, **columns)


def _event(verdict: Verdict) -> Event:
    return Event.HOLD if verdict.passes else Event.REFUSE


def _decide(
    connection: sqlite3.Connection,
    question: Question,
    account: sqlite3.Row | None,
    site: Site,
    asked_ms: int,
    by_stretches: bool,
) -> tuple[Verdict, str]:
    try:
        number = dialed_number.normalize(question.number_dialed, site.plus_prefix)
    except BadInput:
        return (_INACTIVE if not site.is_active else Verdict(passes=False, reason="bad-number")), ""
    verdict = decide_number(connection, account, number, site, asked_ms, by_stretches)
    if verdict.rate is not None and _bypasses_billing(question):
        verdict = Verdict(passes=False, reason="dial-options", choice=verdict.choice)
    return verdict, number


def _bypasses_billing(question: Question) -> bool:
    try:
        return bool(vanishing_destinations(question.dial_string) or bypassing_options(question.dial_options))
    except BadInput:
        return True


def _account_of(connection: sqlite3.Connection, who: payer.Payer, site: Site, now_ms: int) -> sqlite3.Row | None:
    account = accounts.account_of_payer(connection, who, now_ms)
    if account is not None or site.calls_without_payer in ("pass", "refuse"):
        return account
    return accounts.account_of_payer(connection, payer.Payer(extension=site.calls_without_payer), now_ms)


def decide_number(
    connection: sqlite3.Connection,
    account: AccountRow | None,
    number: str,
    site: Site,
    asked_ms: int,
    by_stretches: bool = False,
) -> Verdict:
    """What is decided for an account, by the site's settings and its rates as of the dialing."""
    if not site.is_active and number not in site.emergency_numbers:
        return _INACTIVE
    if account is None:
        return decision.decide_without_account(number, site)
    view = account_view(account)
    rates = reads.rates_for(connection, dialed_number.prefixes(number), view.extension) if view.billing else ()
    return decision.decide(view, number, clock.local_moment(asked_ms, site.time_zone), rates, site, by_stretches)


def account_view(account: AccountRow) -> AccountView:
    """What deciding needs of an account's row."""
    return AccountView(
        extension=account["extension"],
        billing=bool(account["billing"]),
        locked=account["status"] == "locked",
        available_micros=account["balance_micros"] + account["credit_micros"] - account["held_micros"],
        has_live_calls=account["held_micros"] > 0,
    )


def _asked_columns(question: Question, account: sqlite3.Row | None, verdict: Verdict) -> dict[str, Any]:
    lines = decision.explain_choice(verdict.choice) if verdict.rate or verdict.reason == "no-rate" else []
    if account is not None and verdict.rate is not None:
        lines.append(_why_held(account, verdict, verdict.rate))
    return {
        "reason": verdict.reason,
        "account_id": account["id"] if account else None,
        "extension": account["extension"] if account else "",
        "device": payer.device_of(question.origin.channel),
        "trunk": question.trunk,
        "attempt_stamp_ms": question.stamp_ms,
        **writes.promise_columns(verdict.promise),
        "rate": reads.rate_snapshot(verdict.rate) if verdict.rate else None,
        "why": why.stored(lines),
        "caller_channel": question.origin.channel,
        "caller_uniqueid": question.uniqueid,
        "linkedid": question.linkedid,
        "ringing_at_ms": None,
        "ring_limit_seconds": question.ring_limit_seconds,
    }


def _why_held(account: sqlite3.Row, verdict: Verdict, rate: Rate) -> Line:
    sums = (account["balance_micros"], account["credit_micros"], account["held_micros"])
    return why.HELD(*map(format_amount, sums), _outcome(account, verdict, rate))


def _outcome(account: sqlite3.Row, verdict: Verdict, rate: Rate) -> Line:
    if not verdict.passes:
        return decision.explain_shortage(rate, account_view(account).available_micros)
    amount, limit = format_amount(verdict.hold_micros), verdict.limit_seconds
    if verdict.promise is None or verdict.promise.promised_seconds == limit:
        return why.HELD_FOR_ALL(amount, limit)
    return why.HELD_FOR_FIRST(amount, verdict.promise.promised_seconds)


def _insert_alone_unanswered(connection: sqlite3.Connection, call_id: str, ended: Leg) -> CallChange:
    state = State.REFUSED if ended.alone == leg.REFUSED_ALONE else State.RELEASED
    account = _account_of_leg(connection, ended)
    return _insert_told(connection, call_id, ended, state, account, ended_at_ms=ended.ended_ms)


def call_of_answered(connection: sqlite3.Connection, call_id: str, told: Leg) -> CallRow | None:
    """The row of an answered leg's call, made here for one that the dialplan decided alone.

    A call that was archived as unanswered gets a new row beside its archived one, flagged for a person, with the same
    account to pay. None for one that was archived with its charge: what is told of it so late is no news.
    """
    if call := reads.call(connection, call_id):
        return call
    archived = reads.archived_call(connection, call_id)
    if archived is None:
        _insert_told(connection, call_id, told, State.ASKED, _account_of_leg(connection, told))
        return reads.call(connection, call_id)
    if archived["state"] == State.SETTLED:
        return None
    if call := reads.call(connection, late_id(call_id)):
        return call
    account = None if archived["account_id"] is None else reads.account(connection, archived["account_id"])
    _insert_told(connection, late_id(call_id), told, State.ASKED, account, flags=ARCHIVED)
    return reads.call(connection, late_id(call_id))


def is_charged_for_good(connection: sqlite3.Connection, call_id: str) -> bool:
    """Whether a call was archived with its charge, which nothing changes any more."""
    archived = reads.archived_call(connection, call_id)
    return archived is not None and archived["state"] == State.SETTLED


def _account_of_leg(connection: sqlite3.Connection, told: Leg) -> sqlite3.Row | None:
    site, known_trunks, _ = reads.premises(connection)
    who = payer.Payer() if told.device in known_trunks else payer.Payer(device=told.device)
    return _account_of(connection, who, site, told.asked_ms)


def _insert_told(
    connection: sqlite3.Connection,
    call_id: str,
    ended: Leg,
    state: State,
    account: sqlite3.Row | None,
    **columns: Any,
) -> CallChange:
    """Write the row of a call of which only the dialplan tells."""
    site = reads.site(connection)
    try:
        number = dialed_number.normalize(ended.number, site.plus_prefix)
    except BadInput:
        number = ""
    return writes.insert_call(
        connection,
        call_id=call_id,
        state=state,
        reason=leg.EMERGENCY if ended.alone == leg.EMERGENCY else "billing-down",
        account_id=account["id"] if account else None,
        extension=account["extension"] if account else "",
        device=ended.device,
        number_dialed=ended.number,
        number=number,
        trunk=ended.trunk,
        free_seconds=reads.free_seconds_of(connection, ended.trunk),
        attempt_stamp_ms=ended.asked_ms,
        **_dialed_at(ended.asked_ms, site),
        linkedid=ended.linkedid,
        **end_columns(ended),
        **columns,
    )


def end_columns(ended: Leg) -> dict[str, Any]:
    """What a leg's record tells of its ringing and its end, as columns."""
    return {
        "ringing_at_ms": None if ended.rang_ms is None else ended.asked_ms + ended.rang_ms,
        "hangup_cause": ended.cause,
    }
