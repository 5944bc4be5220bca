"""What the call plane does on each AGI path: `/authorize`, `/answered`, `/settle`, `/end`.

Turns AGI arguments into jobs for `services.calls`, keeps the deadlines that
the dialplan counts on, and carries AstDB both ways: what the dialplan must
know when it is alone, and what it left while it was.
"""

import asyncio
import logging
import sqlite3
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from operator import attrgetter
from typing import TypeVar

from coovox_billing.core.call import Source
from coovox_billing.core.clock import UNKNOWN, OwnTime, parse_stamp_ms
from coovox_billing.core.leg import MOST_RING_DIGITS, Leg, parse_leg
from coovox_billing.core.payer import Origin
from coovox_billing.errors import BillingError
from coovox_billing.pbx import dialplan_variables as dialplan
from coovox_billing.pbx import leftovers
from coovox_billing.pbx.agi_protocol import MAX_CALL_ID_LENGTH, Malformed
from coovox_billing.pbx.agi_server import Handler, NotSent, Session
from coovox_billing.pbx.astdb import SessionAstDb
from coovox_billing.pbx.call_lines import tell_archived, teller
from coovox_billing.pbx.leftovers import Collector
from coovox_billing.pbx.live_calls import LiveCalls
from coovox_billing.pbx.mirror import bring_up_to_date
from coovox_billing.services import calls, live_calls, settlement
from coovox_billing.services.calls import Answer, Question
from coovox_billing.store import reads
from coovox_billing.store.call_changes import CallChange
from coovox_billing.store.loop_database import LoopDatabase, Outcome

T = TypeVar("T")
Write = Callable[[sqlite3.Connection], CallChange | None]

AUTHORIZE_SECONDS = 2.0
SETTLE_SECONDS = 0.15
END_SECONDS = 1.0
RETRY_SECONDS = 5.0
EMERGENCY_RECORD_TRIES = 5
EMERGENCY_RECORD_PAUSE_SECONDS = 0.05
MAX_WATCHED_CALLS = 10_000

_AUTHORIZE_ARGUMENTS = frozenset(dialplan.AUTHORIZE_ARGUMENTS)

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Decided:
    answer: Answer
    mirror: str


def _untold(seconds: float) -> None:
    """Nobody counts."""


class AgiHandlers:
    """The handlers of one call plane. `now_ms` is the wall clock, ms since 1970 in UTC.

    Without `live_calls`, or while they have no connection, a call is promised all that its money affords at once.
    `timed` is told how many seconds each question took that was answered.
    """

    def __init__(self, database: LoopDatabase, now_ms: Callable[[], int], live_calls: LiveCalls | None = None) -> None:
        self.timed: Callable[[float], None] = _untold
        self._database = database
        self._now_ms = now_ms
        self._live_calls = live_calls
        self._asked_at: dict[str, float] = {}
        self._unsettled: set[str] = set()
        self.collector = Collector(self)

    def by_path(self) -> dict[str, Handler]:
        """The paths, as the dialplan names them."""
        return {"authorize": self.authorize, "answered": self.answered, "settle": self.settle, "end": self.end}

    async def authorize(self, session: Session, arguments: Mapping[str, str]) -> None:
        """May this call be made, and for how long. Answers within 2 s, or says that billing is down."""
        decided = await self._decided(session, arguments)
        if decided is None:
            session.finish(_variables_of(None))
            return
        is_mirror_old = arguments["mirror"] != decided.mirror
        looks = self._wants_to_look(arguments) and not decided.answer.passes
        try:
            await _say(session, _variables_of(decided.answer), is_last=not (is_mirror_old or looks))
        except NotSent:
            self._withdraw(_question(arguments))
            raise
        self.timed(time.monotonic() - session.opened)
        if is_mirror_old:
            await bring_up_to_date(SessionAstDb(session), self._database, arguments["mirror"], decided.mirror)
        if looks:
            await self._collect(session)

    async def _decided(self, session: Session, arguments: Mapping[str, str]) -> "_Decided | None":
        """None where there is no verdict in time, which is logged."""
        try:
            question = _question(arguments)
            return await self._decide(question, self._deadline(session, question.stamp_ms))
        except BillingError as error:
            log.warning("call %s asked: %s", arguments.get("id", "")[:MAX_CALL_ID_LENGTH], error)
        except Exception:
            log.exception("authorize failed")
        return None

    async def answered(self, session: Session, arguments: Mapping[str, str]) -> None:
        """The trunk's leg was answered, told by a dialplan that asks instead of sending the event. Says nothing."""
        if self._live_calls is not None:
            names = ("id", "answered", "channel", "uniqueid")
            self._live_calls.adopt(*(arguments.get(name, "") for name in names))

    async def settle(self, session: Session, arguments: Mapping[str, str]) -> None:
        """The trunk's leg ended. Says so only once it is on disk; after 150 ms the trunk's BYE is more urgent."""
        done = self._submit_settle(_call_id(arguments), parse_leg(arguments["record"]))
        if await _is_done_within(done, session.opened + SETTLE_SECONDS):
            session.finish({dialplan.SETTLED: "1"})

    async def end(self, session: Session, arguments: Mapping[str, str]) -> None:
        """The caller's side ended. Frees what is held, then takes over what the dialplan left in AstDB."""
        call_id = _call_id(arguments)
        leg = parse_leg(arguments["record"])
        talked = bool(arguments.get("talked"))
        if not talked and not leg.alone:
            self._asked_at.pop(call_id, None)
            done = self._submit(call_id, lambda connection: calls.give_up(connection, call_id, leg))
            if await _is_done_within(done, session.opened + END_SECONDS):
                await _say(session, {dialplan.ENDED: "1"}, is_last=not self._wants_to_look(arguments))
        if talked and leg.alone:
            await self._await_record(session, call_id)
        if leg.alone or self._wants_to_look(arguments):
            await self._collect(session)

    async def _collect(self, session: Session) -> None:
        """With the manager somebody else does it at once and faster, and no call waits for it."""
        if self._live_calls is not None and self._live_calls.is_ready:
            self.collector.is_wanted = True
        else:
            await self.collector.collect(SessionAstDb(session), leftovers.MOST_IN_A_SESSION)

    def _wants_to_look(self, arguments: Mapping[str, str]) -> bool:
        """Once after a start whatever is told: who died while booking may have lowered the flag."""
        return bool(arguments.get("left")) or not self.collector.has_collected

    async def _decide(self, question: Question, deadline: float) -> "_Decided | None":
        now_ms = self._now_ms()
        by_stretches = self._live_calls is not None and self._live_calls.is_ready
        if self._live_calls is not None:
            self._live_calls.count()

        def decide(connection: sqlite3.Connection) -> _Decided:
            answer = calls.authorize(connection, question, now_ms, by_stretches)
            return _Decided(answer, reads.mirror_marker(connection))

        done = self._database.submit(decide, deadline)
        done.add_done_callback(teller(question.call_id, attrgetter("answer.change"), _by_whom(question.origin)))
        if not await _is_done_within(done, deadline):
            log.warning("call %s asked: no answer in time, so the dialplan decides alone", question.call_id)
            done.add_done_callback(lambda late: self._withdraw(question) if late.exception() is None else None)
            return None
        decided = done.result()
        if decided.answer.passes:
            self._watch(question.call_id)
        return decided

    def _deadline(self, session: Session, asked_ms: int) -> float:
        """When the dialplan stops waiting, less a margin; it may have asked long before a hung call plane woke up."""
        waited_seconds = max(0, self._now_ms() - asked_ms) / 1000 if asked_ms else 0.0
        if waited_seconds > AUTHORIZE_SECONDS:
            log.warning(
                "a call was asked %.0f s ago by Asterisk's clock, too late to answer: if Asterisk is on another "
                "machine, set the clocks of both",
                waited_seconds,
            )
        return session.opened + AUTHORIZE_SECONDS - waited_seconds

    def _watch(self, call_id: str) -> None:
        if len(self._asked_at) >= MAX_WATCHED_CALLS:
            self._asked_at.pop(next(iter(self._asked_at)))
        self._asked_at.setdefault(call_id, time.monotonic())

    def _withdraw(self, question: Question) -> None:
        """Free what an answer holds that Asterisk did not hear."""
        now_ms = self._now_ms()
        self._submit(
            question.call_id, lambda connection: calls.withdraw(connection, question.call_id, question.stamp_ms, now_ms)
        )

    def _submit(self, call_id: str, job: Write) -> Outcome[CallChange | None]:
        """Have it written, and logged what became of the call."""
        done = self._database.submit(job)
        done.add_done_callback(teller(call_id, _itself))
        return done

    def _submit_settle(self, call_id: str, leg: Leg, source: Source = Source.SETTLE) -> Outcome[CallChange | None]:
        own = UNKNOWN if leg.alone else self._own_time(call_id, leg.ended_ms)
        self._asked_at.pop(call_id, None)
        now_ms = self._now_ms()

        def job(connection: sqlite3.Connection) -> CallChange | None:
            return settlement.settle(connection, call_id, leg, own, now_ms, source)

        return self._settle(call_id, job, is_left=source is not Source.SETTLE)

    def _settle(self, call_id: str, job: Write, *, is_left: bool) -> Outcome[CallChange | None]:
        done = self._submit(call_id, job)
        done.add_done_callback(lambda done: self._settled(call_id, job, done, is_left=is_left))
        return done

    def _settled(self, call_id: str, job: Write, done: Outcome[CallChange | None], *, is_left: bool) -> None:
        """What the disk does not take is tried again, unless it `is_left` in AstDB, which may be on the same disk."""
        error = None if done.cancelled() else done.exception()
        if not isinstance(error, sqlite3.Error):
            self._unsettled.discard(call_id)
            if self._live_calls is not None:
                self._live_calls.forget(call_id)
        elif not is_left and len(self._unsettled) < MAX_WATCHED_CALLS:
            if call_id not in self._unsettled:
                log.error("call %s: its end could not be stored, and is tried again: %s", call_id, error)
            self._unsettled.add(call_id)
            again = partial(self._settle, call_id, job, is_left=False)
            asyncio.get_running_loop().call_later(RETRY_SECONDS, again)

    def _own_time(self, call_id: str, ended_ms: int) -> OwnTime:
        """Up to the end of the leg, of which a call plane that hung hears late, by the wall clock."""
        late_ms = max(0, self._now_ms() - ended_ms)
        asked_at = self._asked_at.get(call_id)
        since_asked_ms = None if asked_at is None else int((time.monotonic() - asked_at) * 1000)
        since_answer_ms = None if self._live_calls is None else self._live_calls.since_answer_ms(call_id)
        return OwnTime(_without(late_ms, since_asked_ms), _without(late_ms, since_answer_ms))

    async def _await_record(self, session: Session, call_id: str) -> None:
        """An emergency call's trunk leg writes its record itself, maybe a moment after the caller hung up."""
        for _ in range(EMERGENCY_RECORD_TRIES):
            if any(key.startswith(f"{call_id}.") for key in await SessionAstDb(session).keys(dialplan.LEFT)):
                return
            await asyncio.sleep(EMERGENCY_RECORD_PAUSE_SECONDS)

    async def book(self, call_id: str, leg: Leg, source: Source = Source.ASTDB) -> None:
        """Store a leg that the dialplan left in Asterisk's records.

        Raises:
            TimeoutError: that takes too long.
        """
        if leg.answered_ms is None:
            await _in_time(self._submit(call_id, lambda connection: calls.give_up(connection, call_id, leg)))
            return
        done = self._submit_settle(call_id, leg, source)
        await _in_time(done)
        if done.result() is None and await self._database.submit(partial(calls.is_charged_for_good, call_id=call_id)):
            tell_archived(call_id, source)

    async def begin(self, call_id: str, leg: Leg) -> None:
        """Store an answered leg that billing was not asked about, and that may still talk.

        Raises:
            TimeoutError: that takes too long.
        """
        await _in_time(self._submit(call_id, lambda connection: live_calls.begin_alone(connection, call_id, leg)))
        if self._live_calls is not None:
            self._live_calls.look_soon()


def _without(late_ms: int, since_ms: int | None) -> int | None:
    """A time less how late it was measured; where more than that passed on the wall, the clock stepped meanwhile."""
    return since_ms if since_ms is None or late_ms > since_ms else since_ms - late_ms


async def _in_time(done: Outcome[CallChange | None]) -> None:
    if not await _is_done_within(done, time.monotonic() + END_SECONDS):
        raise TimeoutError("the database is too slow")


def _itself(change: CallChange | None) -> CallChange | None:
    return change


def _by_whom(origin: Origin) -> str:
    """What the log adds where the call is not dialed on the payer's own channel."""
    return f", by a transfer of {origin.transferer_channel}" if origin.transferer_channel else ""


def _question(arguments: Mapping[str, str]) -> Question:
    if not arguments.keys() >= _AUTHORIZE_ARGUMENTS:
        missing = [name for name in dialplan.AUTHORIZE_ARGUMENTS if name not in arguments]
        raise Malformed(
            "the dialplan did not send %(missing)s: run `coovox-billing pbx install` again", missing=", ".join(missing)
        )
    origin = Origin(
        channel=arguments["channel"],
        trusted_payer=arguments["payer"],
        transferer_channel=arguments["transferer"],
        forwarder_channel=arguments["forwarder"],
        inherited_channel=arguments["origin"],
        caller_id=arguments["callerid"],
    )
    return Question(
        call_id=_call_id(arguments),
        stamp_ms=parse_stamp_ms(arguments["asked"]) or 0,
        number_dialed=arguments["number"],
        trunk=arguments["trunk"],
        dial_string=arguments["dial"],
        dial_options=arguments["options"],
        origin=origin,
        uniqueid=arguments["uniqueid"],
        linkedid=arguments["linkedid"],
        ring_limit_seconds=_seconds(arguments["ring"]),
    )


def _seconds(text: str) -> int | None:
    """A whole number of seconds, None where none is given or nobody would wait so long."""
    return int(text) if text.isdecimal() and len(text) <= MOST_RING_DIGITS else None


def _call_id(arguments: Mapping[str, str]) -> str:
    call_id = arguments.get("id", "")
    if not call_id.isalnum() or len(call_id) > MAX_CALL_ID_LENGTH:
        raise Malformed("%(call_id)s is not a call's id", call_id=repr(call_id[:80]))
    return call_id


def _variables_of(answer: Answer | None) -> dict[str, str]:
    if answer is None:
        return {dialplan.VERDICT: dialplan.DOWN, dialplan.REASON: "billing-down", dialplan.LIMIT: "0"}
    verdict = dialplan.PASS if answer.passes else dialplan.REFUSED
    return {
        dialplan.VERDICT: verdict,
        dialplan.REASON: answer.reason,
        dialplan.LIMIT: str(answer.limit_seconds or 0),
    }


async def _say(session: Session, values: dict[str, str], *, is_last: bool) -> None:
    if is_last:
        session.finish(values)
    else:
        await session.set_variables(values)


async def _is_done_within(done: Outcome[T], deadline: float) -> bool:
    """Whether a write was committed in time. One that failed raises; one still under way goes on."""
    loop = asyncio.get_running_loop()
    decided = loop.create_future()
    timer = loop.call_later(max(0.0, deadline - time.monotonic()), _resolve, decided)
    done.tell_at_once(partial(_resolve, decided))
    await decided
    timer.cancel()
    if not done.done():
        return False
    done.result()
    return True


def _resolve(decided: "asyncio.Future[None]") -> None:
    if not decided.done():
        decided.set_result(None)
