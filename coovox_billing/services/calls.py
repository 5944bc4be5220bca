"""The life of a call in the database: authorize, settle, give up (DESIGN §5).

Each function is a job for `Database.write` and may be repeated: what was done
already is not done again. The rules are `core`'s; here they meet the accounts.
"""

import json
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from coovox_billing.core import clock, decision, dialed_number, leg, payer, rating
from coovox_billing.core.call import Event, State, is_late, next_state
from coovox_billing.core.clock import OwnTime
from coovox_billing.core.decision import AccountView, Verdict
from coovox_billing.core.dial_options import bypassing_options, vanishing_destinations
from coovox_billing.core.leg import Leg
from coovox_billing.core.money import format_amount
from coovox_billing.core.payer import Origin
from coovox_billing.core.site_settings import Site
from coovox_billing.core.tariff import Rate
from coovox_billing.core.trunk import least_free_seconds
from coovox_billing.errors import BadInput
from coovox_billing.services import accounts, trunks
from coovox_billing.store import reads, writes

ACTOR = "call"

_INACTIVE = Verdict(passes=True, reason="not-active")

AccountRow = Mapping[str, Any] | sqlite3.Row


@dataclass(frozen=True, slots=True)
class Question:
    """What the dialplan asks before an outbound call. `stamp_ms` is its own, and names the attempt."""

    call_id: str
    stamp_ms: int
    number_dialed: str
    trunk: str
    dial_string: str
    dial_options: str
    origin: Origin
    uniqueid: str
    linkedid: str


@dataclass(frozen=True, slots=True)
class Answer:
    """What the dialplan gets: `limit_seconds` is None for a call without limit."""

    passes: bool
    reason: str
    limit_seconds: int | None


def authorize(connection: sqlite3.Connection, question: Question, now_ms: int, by_stretches: bool = False) -> Answer:
    """Decide about a call and hold its money: for a first stretch, or for all that the money affords.

    The same question again gets the same answer. A further attempt of an
    unanswered call is decided anew, on the same row.
    """
    known = reads.call(connection, question.call_id)
    if known is not None and known["state"] != State.RELEASED:
        return _answer_again(connection, known, question)
    site, known_trunks = reads.site_and_trunks(connection)
    dialed = payer.trunks_of(question.dial_string)
    new_trunks = trunks.unknown(connection, dialed, known_trunks)
    who = payer.find_payer(question.origin, known_trunks.keys() | new_trunks, reads.gateways(connection))
    account = _account_of(connection, who, site, now_ms)
    asked_ms = now_ms if known is None else known["asked_at_ms"]
    verdict, number = _decide(connection, question, account, site, asked_ms, by_stretches)
    columns = _asked_columns(question, account, verdict)
    columns["free_seconds"] = least_free_seconds(dialed, known_trunks)
    if known is None:
        day = clock.local_day(asked_ms, site.time_zone).isoformat()
        _insert_asked(connection, question, verdict, number=number, asked_at_ms=asked_ms, local_day=day, **columns)
    else:
        _ask_again(connection, known, verdict, columns)
    if account is not None and verdict.hold_micros:
        writes.change_hold(connection, account["id"], verdict.hold_micros)
    if verdict.passes:
        trunks.learn(connection, new_trunks, question.trunk, site)
        trunks.take_name(connection, dialed, question.trunk, known_trunks)
    return Answer(verdict.passes, verdict.reason, verdict.limit_seconds)


def settle(connection: sqlite3.Connection, call_id: str, ended: Leg, own: OwnTime, now_ms: int) -> None:
    """Charge an answered leg: talk from its stamps and our own time, price from the call's own rate.

    A call that was thought over, or that the dialplan let pass alone, is
    settled late. A leg that nobody answered changes nothing here.
    """
    if ended.answered_ms is None:
        return
    call = reads.call(connection, call_id) or _insert_unasked(connection, call_id, ended)
    state = State(call["state"])
    following = next_state(state, Event.SETTLE)
    if following is None:
        return
    talk = clock.talk_time(ended.answered_ms, ended.ended_ms, own, call["limit_seconds"])
    price = _price(connection, call)
    billed_seconds = _billed_seconds(call, talk.seconds)
    trunk = ended.trunk or call["trunk"]
    free_seconds = _free_seconds(connection, call, trunk)
    cost = 0 if price.rate is None else rating.cost_of_talk(price.rate, billed_seconds, free_seconds)
    charge, balance = _charge(connection, call, cost, now_ms)
    writes.move_call(
        connection,
        call_id,
        state,
        following,
        reason=price.reason,
        trunk=trunk,
        free_seconds=free_seconds,
        answered_at_ms=ended.answered_ms,
        ended_at_ms=ended.ended_ms,
        talk_seconds=talk.seconds,
        hold_micros=0,
        cost_micros=charge.cost_micros,
        uncollected_micros=charge.uncollected_micros,
        rate=None if price.rate is None else reads.rate_snapshot(price.rate),
        why=json.dumps(price.why + _why_charged(price.rate, billed_seconds, free_seconds, charge, balance)),
        settled_late=is_late(state) and ended.alone != leg.EMERGENCY,
        flags=_flags(call, talk.clock_was_off, ended, charge),
        hangup_cause=ended.cause,
        trunk_uniqueid=ended.uniqueid,
        linkedid=ended.linkedid or call["linkedid"],
    )
    day, account_id = call["local_day"], call["account_id"]
    writes.add_to_totals(connection, day, account_id, trunk, talk.seconds, charge.cost_micros)


def give_up(connection: sqlite3.Connection, call_id: str, ended: Leg) -> None:
    """The caller's side ended without an answer: what was held is free again.

    The end of an earlier attempt, heard late, changes nothing. A call that
    the dialplan decided alone gets its row here.
    """
    call = reads.call(connection, call_id)
    if call is None:
        if ended.alone:
            _insert_alone_unanswered(connection, call_id, ended)
        return
    if ended.asked_ms != call["attempt_stamp_ms"]:
        return
    reason = "billing-down" if ended.alone else call["reason"]
    _release(connection, call, reason, ended_at_ms=ended.ended_ms, hangup_cause=ended.cause)


def withdraw(connection: sqlite3.Connection, call_id: str, now_ms: int) -> None:
    """Free the money of an answer that was ready too late for Asterisk to hear it."""
    call = reads.call(connection, call_id)
    if call is not None:
        _release(connection, call, "billing-down", ended_at_ms=now_ms)


def _release(connection: sqlite3.Connection, call: sqlite3.Row, reason: str, **columns: Any) -> None:
    state = State(call["state"])
    following = next_state(state, Event.GIVE_UP)
    if following is None:
        return
    writes.move_call(connection, call["call_id"], state, following, reason=reason, hold_micros=0, **columns)
    if call["hold_micros"]:
        writes.change_hold(connection, call["account_id"], -call["hold_micros"])


def _answer_again(connection: sqlite3.Connection, call: sqlite3.Row, question: Question) -> Answer:
    """The end of an earlier attempt may have been lost, so a held call may be dialed over another trunk."""
    state = State(call["state"])
    if state is State.HELD:
        columns = {"trunk": question.trunk, "attempt_stamp_ms": question.stamp_ms}
        if question.stamp_ms != call["attempt_stamp_ms"]:
            dialed = payer.trunks_of(question.dial_string)
            columns["free_seconds"] = least_free_seconds(dialed, reads.trunks(connection))
        writes.move_call(connection, call["call_id"], state, state, **columns)
        return Answer(True, call["reason"], call["limit_seconds"])
    return Answer(False, call["reason"] if state is State.REFUSED else "call-over", None)


def _insert_asked(connection: sqlite3.Connection, question: Question, verdict: Verdict, **columns: Any) -> None:
    state = next_state(State.ASKED, _event(verdict))
    writes.insert_call(
        connection, call_id=question.call_id, state=state, number_dialed=question.number_dialed, **columns
    )


def _ask_again(connection: sqlite3.Connection, call: sqlite3.Row, verdict: Verdict, columns: dict[str, Any]) -> None:
    """A further attempt, on the row of the first."""
    following = next_state(State.RELEASED, _event(verdict))
    assert following is not None  # noqa: S101  the table holds both
    attempts = call["attempts"] + 1
    writes.move_call(
        connection, call["call_id"], State.RELEASED, following, attempts=attempts, ended_at_ms=None, **columns
    )


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
    verdict = _decide_number(connection, account, number, site, asked_ms, by_stretches)
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


def _decide_number(
    connection: sqlite3.Connection,
    account: AccountRow | None,
    number: str,
    site: Site,
    asked_ms: int,
    by_stretches: bool = False,
) -> Verdict:
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
    why = decision.explain_choice(verdict.choice) if verdict.rate or verdict.reason == "no-rate" else []
    if account is not None and verdict.rate is not None:
        why.append(_why_held(account, verdict, verdict.rate))
    return {
        "reason": verdict.reason,
        "account_id": account["id"] if account else None,
        "extension": account["extension"] if account else "",
        "device": payer.device_of(question.origin.channel),
        "trunk": question.trunk,
        "attempt_stamp_ms": question.stamp_ms,
        **writes.promise_columns(verdict.promise),
        "rate": reads.rate_snapshot(verdict.rate) if verdict.rate else None,
        "why": json.dumps(why),
        "caller_channel": question.origin.channel,
        "caller_uniqueid": question.uniqueid,
        "linkedid": question.linkedid,
    }


def _why_held(account: sqlite3.Row, verdict: Verdict, rate: Rate) -> str:
    funds = (
        f"balance {format_amount(account['balance_micros'])}, credit {format_amount(account['credit_micros'])}, "
        f"held by other calls {format_amount(account['held_micros'])}"
    )
    if not verdict.passes:
        return f"{funds}: {decision.explain_shortage(rate, account_view(account).available_micros)}"
    held, limit = format_amount(verdict.hold_micros), verdict.limit_seconds
    if verdict.promise is None or verdict.promise.promised_seconds == limit:
        return f"{funds}: {held} held for {limit} s"
    return f"{funds}: {held} held for a first {verdict.promise.promised_seconds} s, more is bought while it lasts"


@dataclass(frozen=True, slots=True)
class _Price:
    rate: Rate | None
    reason: str
    why: list[str]


def _price(connection: sqlite3.Connection, call: sqlite3.Row) -> _Price:
    """The rate that a call began with; one that was refused, or never asked for, is rated as of its dialing."""
    if call["rate"] and call["state"] != State.REFUSED:
        return _Price(reads.rate_of_snapshot(call["rate"]), call["reason"], json.loads(call["why"]))
    if call["state"] not in (State.ASKED, State.REFUSED) and call["reason"] != "billing-down":
        return _Price(None, call["reason"], json.loads(call["why"]))
    if call["reason"] == leg.EMERGENCY or call["account_id"] is None:
        return _Price(None, call["reason"], [])
    account = dict(reads.account(connection, call["account_id"]), status="unlocked")
    verdict = _decide_number(connection, account, call["number"], reads.site(connection), call["asked_at_ms"])
    if not account["billing"]:
        return _Price(None, verdict.reason, [])
    return _Price(verdict.rate, call["reason"], decision.explain_choice(verdict.choice))


def _charge(
    connection: sqlite3.Connection, call: sqlite3.Row, cost: int, now_ms: int
) -> tuple[rating.Charge, int | None]:
    """Take the cost from the account and free the hold; returns the balance after where money moved."""
    if call["account_id"] is None:
        return rating.Charge(cost, 0, cost), None
    available = account_view(reads.account(connection, call["account_id"])).available_micros
    charge = rating.charge(cost, call["hold_micros"], available)
    if call["hold_micros"]:
        writes.change_hold(connection, call["account_id"], -call["hold_micros"])
    if not charge.charged_micros:
        return charge, None
    balance = writes.post(
        connection, call["account_id"], "call", -charge.charged_micros, ACTOR, now_ms, call_id=call["call_id"]
    )
    return charge, balance


def _billed_seconds(call: sqlite3.Row, talk_seconds: int) -> int:
    """Where billing was deactivated during the call, the talk up to then."""
    billable: int | None = call["billable_seconds"]
    return talk_seconds if billable is None else min(talk_seconds, billable)


def _free_seconds(connection: sqlite3.Connection, call: sqlite3.Row, trunk: str) -> int:
    """What the call began with; for a leg over a trunk that billing was not asked about, what its name says."""
    if trunk == call["trunk"]:
        return int(call["free_seconds"])
    return reads.free_seconds_of(connection, trunk)


def _why_charged(
    rate: Rate | None, talk_seconds: int, free_seconds: int, charge: rating.Charge, balance: int | None
) -> list[str]:
    if rate is None:
        return []
    lines = decision.explain_talk(rate, talk_seconds, free_seconds)
    if balance is not None:
        before = format_amount(balance + charge.charged_micros)
        lines.append(f"balance {before} before, {format_amount(balance)} after")
    if charge.uncollected_micros:
        lines.append(f"{format_amount(charge.uncollected_micros)} could not be collected")
    return lines


def _flags(call: sqlite3.Row, clock_was_off: bool, ended: Leg, charge: rating.Charge) -> str:
    flags = set(call["flags"].split())
    if clock_was_off:
        flags.add("clock")
    if ended.alone == leg.PASSED_ALONE:
        flags.add("alone")
    if charge.uncollected_micros:
        flags.add("uncollected")
    return " ".join(sorted(flags))


def _insert_unasked(connection: sqlite3.Connection, call_id: str, ended: Leg) -> sqlite3.Row:
    _insert_alone(connection, call_id, ended, State.ASKED)
    call = reads.call(connection, call_id)
    assert call is not None  # noqa: S101  it was inserted just now
    return call


def _insert_alone_unanswered(connection: sqlite3.Connection, call_id: str, ended: Leg) -> None:
    state = State.REFUSED if ended.alone == leg.REFUSED_ALONE else State.RELEASED
    _insert_alone(connection, call_id, ended, state, ended_at_ms=ended.ended_ms)


def _insert_alone(connection: sqlite3.Connection, call_id: str, ended: Leg, state: State, **columns: Any) -> None:
    site, known_trunks = reads.site_and_trunks(connection)
    who = payer.Payer() if ended.device in known_trunks else payer.Payer(device=ended.device)
    account = _account_of(connection, who, site, ended.asked_ms)
    try:
        number = dialed_number.normalize(ended.number, site.plus_prefix)
    except BadInput:
        number = ""
    writes.insert_call(
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
        asked_at_ms=ended.asked_ms,
        local_day=clock.local_day(ended.asked_ms, site.time_zone).isoformat(),
        hangup_cause=ended.cause,
        linkedid=ended.linkedid,
        **columns,
    )
