"""A fake PBX that does what `asterisk/extensions_coovox_billing.conf` does, and knows what truly happened.

    pbx = Pbx(clock, plane.port)
    call = pbx.call("100", "988360046")
    if await call.asks():
        await call.is_answered()
        await call.talks(65)
        await call.hangs_up()

Channels, AstDB and the manager's side are kept in memory, CEL in its file; AGI goes over real sockets. Nothing here
asks billing what a call costs: `Call.leg` is what the trunk would put on its own bill.
"""

import asyncio
import json
import os
import socket
import time
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import count
from math import inf
from pathlib import Path

from coovox_billing.pbx import dialplan_variables as dialplan
from coovox_billing.pbx.cel_file import CEL_DIRECTORY, CEL_FILE
from tests.chaos.plane_host import BoxClock
from tests.pbx.fake_ami import Action, FakeAmi, event, get_variable, listed, on_channel, refused, success
from tests.pbx.fake_asterisk import DB_KEYS, environment, stamp

QUESTION_SECONDS = 2.5
SETTLE_PATIENCE_SECONDS = 30.0
ASTDB_COMMITS_EACH_SECONDS = 1.0
SAME_CLOCK_SECONDS = 0.5
RETRY_SECONDS = 0.005
BUILT_IN_EMERGENCY_NUMBERS = frozenset({"112", "911", "0112", "0911", "9112", "9911"})
RANG_SECONDS = 0.3
BUSY, NORMAL = "17", "16"
FRESH_VARIABLES = ("COOVOX_ALONE", dialplan.VERDICT, dialplan.REASON, "COOVOX_RESULT")
UNSET = "(null)"


class AstDb:
    """Billing's family of Asterisk's database; what was put in the last second is not on disk yet."""

    def __init__(self, clock: BoxClock) -> None:
        self.rows: dict[str, str] = {}
        self._clock = clock
        self._undo: deque[tuple[float, str, str | None]] = deque()

    def get(self, key: str) -> str:
        return self.rows.get(key, "")

    def put(self, key: str, value: str) -> None:
        self._remember(key)
        self.rows[key] = value

    def delete(self, key: str) -> bool:
        self._remember(key)
        return self.rows.pop(key, None) is not None

    def below(self, tree: str) -> list[str]:
        """The keys below one, in order."""
        return [key for key in self.rows if key.startswith(f"{tree}/")]

    def left(self) -> list[str]:
        """The records of what is over and waits to be booked."""
        return self.below(dialplan.LEFT)

    def waiting(self) -> list[str]:
        """All records that billing has not taken over yet, also of who may still talk."""
        return self.left() + self.below(dialplan.TALKING_ALONE)

    def empty(self) -> None:
        """Somebody deletes astdb.sqlite3."""
        self.rows.clear()
        self._undo.clear()

    def lose_last_second(self) -> None:
        """Asterisk dies, or the power fails."""
        while self._undo:
            _, key, before = self._undo.pop()
            if before is None:
                self.rows.pop(key, None)
            else:
                self.rows[key] = before

    def _remember(self, key: str) -> None:
        now = self._clock.monotonic()
        while self._undo and self._undo[0][0] < now - ASTDB_COMMITS_EACH_SECONDS:
            self._undo.popleft()
        self._undo.append((now, key, self.rows.get(key)))


@dataclass(eq=False)
class Channel:
    """One channel; its hard limit is an instant of the box's monotonic clock."""

    name: str
    uniqueid: str
    variables: dict[str, str] = field(default_factory=dict)
    limit_at: float = inf
    told_by_life: int = 0
    ended: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass
class TrueLeg:
    """What the trunk knows of an answered leg. `alone` is what the dialplan decided without billing."""

    call_id: str
    extension: str
    number: str
    trunk: str
    alone: str
    answered_ms: int
    ended_ms: int = 0
    talk_seconds: int = 0
    is_over: bool = False


class _Agi:
    """One AGI(agi://...): runs until billing closes, or somebody leaves. A bare socket, for the soak makes millions."""

    def __init__(self, pbx: "Pbx", variables: dict[str, str]) -> None:
        self._pbx = pbx
        self._variables = variables
        self._loop = asyncio.get_running_loop()
        self._over: asyncio.Future[None] = self._loop.create_future()
        self._socket = socket.socket()
        self._socket.setblocking(False)
        self._unread = self._unsent = b""

    async def run(self, port: int, request: bytes, seconds: float) -> bool:
        """For at most so many seconds; False where nobody listens."""
        try:
            await self._loop.sock_connect(self._socket, ("127.0.0.1", port))
            self._socket.send(request)
        except OSError:
            self._socket.close()
            return False
        self._loop.add_reader(self._socket, self._hear)
        timer = self._loop.call_later(seconds, self.leave)
        try:
            await self._over
        finally:
            timer.cancel()
            self.leave()
        return True

    def leave(self) -> None:
        """It is over: billing closed, Asterisk hung up, or the guard ran out."""
        if self._socket.fileno() >= 0:
            self._loop.remove_reader(self._socket)
            self._loop.remove_writer(self._socket)
            self._socket.close()
        if not self._over.done():
            self._over.set_result(None)

    def _say(self) -> None:
        """As much as the other side takes just now; a list of keys can be long."""
        try:
            self._unsent = self._unsent[self._socket.send(self._unsent) :]
        except BlockingIOError:
            pass
        except OSError:
            self.leave()
            return
        if self._unsent:
            self._loop.add_writer(self._socket, self._say)
        else:
            self._loop.remove_writer(self._socket)

    def _hear(self) -> None:
        try:
            data = self._socket.recv(65_536)
            *lines, self._unread = (self._unread + data).split(b"\n")
            for line in lines:
                self._unsent += self._pbx.obey(line.decode(), self._variables).encode() + b"\n"
        except OSError:
            data = b""
        if self._unsent:
            self._say()
        if not data:
            self.leave()


class Pbx:
    """One Asterisk. Where `is_patient` it waits for a plane that is being started, which the dialplan does not."""

    def __init__(self, clock: BoxClock, agi_port: int) -> None:
        self.clock = clock
        self.astdb = AstDb(clock)
        self.channels: dict[str, Channel] = {}
        self.told_settled: set[str] = set()
        self.calls: dict[str, Call] = {}
        self.slowest_seconds = 0.0
        self.manager: FakeAmi | None = None
        self.cel: Path | None = None
        self.pass_by: Callable[[float], Awaitable[None]] = self._pass_by
        self.is_patient: Callable[[], bool] = lambda: False
        self.life: Callable[[], int] = lambda: 1
        self._agi_port = agi_port
        self._number = count(1)
        self._running: set[_Agi] = set()

    def call(self, extension: str, number: str) -> "Call":
        """A phone dials."""
        call = Call(self, self.new_channel(f"PJSIP/{extension}"), extension, number)
        self.calls[call.id] = call
        return call

    def new_channel(self, device: str) -> Channel:
        """A channel comes up."""
        number = next(self._number)
        channel = Channel(f"{device}-{number:08x}", f"{self.clock.wall_ms() // 1000}.{number}")
        self.channels[channel.name] = channel
        return channel

    def stamp(self) -> str:
        """STRFTIME(,,%s.%3q)."""
        return stamp(self.clock.wall_ms())

    async def agi(self, path: str, arguments: dict[str, str], variables: dict[str, str], seconds: float) -> None:
        """AGI() on a channel with these variables, for at most so many seconds."""
        request = environment(path, arguments)
        began = time.monotonic()
        while True:
            session = _Agi(self, variables)
            self._running.add(session)
            try:
                is_over = await session.run(self._agi_port, request, seconds)
            finally:
                self._running.discard(session)
            if is_over or not self.is_patient():
                break
            await asyncio.sleep(RETRY_SECONDS)
        if path == "authorize":
            self.slowest_seconds = max(self.slowest_seconds, time.monotonic() - began)

    def obey(self, command: str, variables: dict[str, str]) -> str:
        """What Asterisk answers to an AGI command."""
        if command.startswith("SET VARIABLE ARRAY("):
            names, _, values = command[len("SET VARIABLE ARRAY(") :].partition(') "')
            variables.update(zip(names.split(","), values.removesuffix('"').split(","), strict=True))
            if variables.get(dialplan.SETTLED) == "1":
                self.told_settled.add(variables[dialplan.LEG_ID])
            return "200 result=1"
        if command.startswith(f"GET FULL VARIABLE ${{DB_KEYS({dialplan.FAMILY}/"):
            tree = command.partition(DB_KEYS)[2].removesuffix(")}").partition("/")[2]
            below = (key.removeprefix(f"{tree}/") for key in self.astdb.below(tree))
            return f"200 result=1 ({','.join(below)})"
        words = command.split(" ", 4)
        key = words[3].strip('"')
        match words[1]:
            case "PUT":
                self.astdb.put(key, words[4].strip('"'))
                return "200 result=1"
            case "GET":
                value = self.astdb.get(key)
                return f"200 result=1 ({value})" if value else "200 result=0"
            case "DEL":
                return f"200 result={int(self.astdb.delete(key))}"
            case "DELTREE":
                below = [self.astdb.delete(each) for each in self.astdb.below(key)]
                return f"200 result={int(any(below))}"
        return "510 Invalid or unknown command"

    async def says(self, name: str, headers: dict[str, str]) -> None:
        """UserEvent()."""
        if self.manager is not None:
            with suppress(ConnectionError):
                await self.manager.send(event("UserEvent", {"UserEvent": name} | headers))

    def is_managed_by(self, manager: FakeAmi) -> None:
        """Answer the manager's user from now on."""
        self.manager = manager
        manager.answers |= {
            "DBGet": self._db_get,
            "DBPut": self._db_put,
            "DBDel": self._db_del,
            "DBGetTree": self._db_get_tree,
            "DBDelTree": self._db_del_tree,
            "Status": self._status,
            "Getvar": on_channel(self.channels, get_variable),
            "Setvar": on_channel(self.channels, self._setvar),
            "Hangup": on_channel(self.channels, self._hangup),
            "Originate": success,
        }

    def writes_cel(self, log_directory: Path) -> None:
        """From now on there is our CEL file below Asterisk's log directory."""
        folder = log_directory / CEL_DIRECTORY
        folder.mkdir(parents=True, exist_ok=True)
        self.cel = folder / CEL_FILE

    def cut_cel(self) -> None:
        """Its newest half is gone, mostly from the middle of a line on."""
        if self.cel is not None and self.cel.exists():
            os.truncate(self.cel, self.cel.stat().st_size // 2)

    def note(self, kind: str, channel: Channel, linkedid: str, text: str = "") -> None:
        """A line of CEL; `text` is that of an event of ours."""
        if self.cel is None:
            return
        own, extra = (kind, json.dumps({"extra": text})) if text else ("", "")
        fields = (kind, self.stamp(), channel.name, channel.uniqueid, linkedid, own, extra)
        with self.cel.open("a") as file:
            file.write(",".join('"' + field.replace('"', '""') + '"' for field in fields) + "\n")

    async def dies(self) -> None:
        """The power fails: all channels, AstDB's last second and the newest half of CEL are gone.

        It is back at once, knowing nothing.
        """
        for session in tuple(self._running):
            session.leave()
        for call in self.calls.values():
            if call.leg is not None and not call.leg.is_over:
                call._leg_is_over(call.leg)
        self.channels.clear()
        self.astdb.lose_last_second()
        self.cut_cel()
        if self.manager is not None:
            await self.manager.drop()

    async def _pass_by(self, seconds: float) -> None:
        self.clock.pass_by(seconds)

    def _db_get(self, action: Action) -> str:
        value = self.astdb.get(action.get("Key"))
        return listed(action, "DBGetResponse", {"Val": value}) if value else refused(action, "Database entry not found")

    def _db_put(self, action: Action) -> str:
        self.astdb.put(action.get("Key"), action.get("Val"))
        return success(action)

    def _db_del(self, action: Action) -> str:
        found = self.astdb.delete(action.get("Key"))
        return success(action) if found else refused(action, "Database entry could not be deleted")

    def _db_get_tree(self, action: Action) -> str:
        below = self.astdb.below(action.get("Key"))
        rows = [{"Key": f"/{dialplan.FAMILY}/{key}", "Val": self.astdb.get(key)} for key in below]
        return listed(action, "DBGetTreeResponse", *rows)

    def _db_del_tree(self, action: Action) -> str:
        for key in self.astdb.below(action.get("Key")):
            self.astdb.delete(key)
        return success(action)

    def _status(self, action: Action) -> str:
        names = [name for name in action.get("Variables").split(",") if name]
        rows = [
            [("Channel", channel.name), ("Uniqueid", channel.uniqueid)]
            + [("Variable", f"{name}={channel.variables.get(name) or UNSET}") for name in names]
            for channel in self.channels.values()
        ]
        return listed(action, "Status", *rows)

    def _setvar(self, action: Action, channel: Channel) -> str:
        assert action.get("Variable") == "TIMEOUT(absolute)"
        seconds = float(action.get("Value"))
        channel.limit_at = self.clock.monotonic() + seconds if seconds > 0 else inf
        channel.told_by_life = self.life()
        return success(action)

    def _hangup(self, action: Action, channel: Channel) -> str:
        channel.ended.set()
        return success(action)


class Call:
    """A caller's channel in `coovox-billing-dial`, with all its attempts."""

    def __init__(self, pbx: Pbx, channel: Channel, extension: str, number: str) -> None:
        self.pbx = pbx
        self.channel = channel
        self.extension = extension
        self.number = number
        self.id = f"{next(pbx._number):018d}"
        self.trunk = ""
        self.facts = ""
        self.leg: TrueLeg | None = None
        self._leg_channel: Channel | None = None

    @property
    def device(self) -> str:
        return f"PJSIP/{self.extension}"

    @property
    def alone(self) -> str:
        """COOVOX_ALONE."""
        return self.channel.variables.get("COOVOX_ALONE", "")

    @property
    def result(self) -> str:
        """COOVOX_RESULT."""
        return self.channel.variables.get("COOVOX_RESULT", "")

    @property
    def reason(self) -> str:
        """COOVOX_REASON."""
        return self.channel.variables.get(dialplan.REASON, "")

    @property
    def record_is_left(self) -> bool:
        """Whether AstDB has the record of its leg."""
        uniqueid = self._leg_channel.uniqueid if self._leg_channel else ""
        return f"{dialplan.LEFT}/{self.id}.{uniqueid}" in self.pbx.astdb.rows

    @property
    def limit_at(self) -> float:
        """Where Asterisk cuts, of the box's monotonic clock."""
        return self._leg_channel.limit_at if self._leg_channel else inf

    @property
    def told_by_life(self) -> int:
        """Which of the call planes, counted from 1, was the last to tell the manager its limit; 0 for none."""
        return self._leg_channel.told_by_life if self._leg_channel else 0

    async def asks(self, trunk: str = "carrier", ring_seconds: int = 30, patience: float = QUESTION_SECONDS) -> bool:
        """All up to Dial(); whether it is reached. A caller without `patience` hangs up during the question."""
        self.trunk = trunk
        self.facts = f"{self.device}|{self.number}|{trunk}|{self.pbx.stamp()}"
        self.channel.variables |= {dialplan.CALL_ID: self.id}
        self.channel.variables |= dict.fromkeys(FRESH_VARIABLES, "")
        if self._is_emergency():
            self._be_alone("emergency", "emergency")
            return True
        await self._ask(ring_seconds, patience)
        if patience < QUESTION_SECONDS:
            await self.gives_up()
            return False
        verdict = self.channel.variables[dialplan.VERDICT]
        if verdict == dialplan.PASS:
            return True
        if verdict != dialplan.REFUSED:
            self._decide_alone()
            if self.alone == "passed":
                return True
            await self._end("refused")
        self._over("refused")
        return False

    async def is_unanswered(self, cause: str = BUSY) -> None:
        """Dial() came back without an answer, and the next trunk may be asked."""
        await self._end("unanswered", cause)
        self.channel.variables["COOVOX_RESULT"] = "unanswered"

    async def is_answered(self, rang_seconds: float = RANG_SECONDS) -> None:
        """The trunk answers: `coovox-billing-answered` on its channel."""
        await self.pbx.pass_by(rang_seconds)
        limit = int(self.channel.variables.get(dialplan.LIMIT) or 0) if not self.alone else 0
        leg_channel = self._leg_channel = self.pbx.new_channel(f"PJSIP/{self.trunk}")
        answered_ms = self.pbx.clock.wall_ms()
        self.leg = TrueLeg(self.id, self.extension, self.number, self.trunk, self.alone, answered_ms)
        self._answered_at = self.pbx.clock.monotonic()
        leg_channel.variables |= {
            dialplan.LEG_ANSWERED: stamp(answered_ms),
            dialplan.LEG_ID: self.id,
            "COOVOX_LEG_FACTS": f"{self.facts}|{self.alone}",
        }
        leg_channel.limit_at = self._answered_at + limit if limit else inf
        self.pbx.note("ANSWER", leg_channel, self.channel.uniqueid)
        stamped = f"{self.id}|{stamp(answered_ms)}"
        self.pbx.note(dialplan.ANSWERED_EVENT, leg_channel, self.channel.uniqueid, stamped)
        channel = {"Channel": leg_channel.name, "Uniqueid": leg_channel.uniqueid}
        await self.pbx.says(dialplan.ANSWERED_EVENT, channel | {"ID": self.id, "Stamp": stamp(answered_ms)})
        if self.alone == "passed":
            self._keep_talking_alone(leg_channel)

    async def talks(self, seconds: float) -> bool:
        """For so long, or until Asterisk cuts; whether they could."""
        assert self._leg_channel is not None
        possible = min(seconds, max(0.0, self._leg_channel.limit_at - self.pbx.clock.monotonic()))
        await self.pbx.pass_by(possible)
        return possible == seconds and not self._leg_channel.ended.is_set()

    async def hangs_up(self, cause: str = NORMAL) -> None:
        """The trunk's leg ends, and the caller's channel with it."""
        assert self.leg is not None and self._leg_channel is not None
        leg_channel, leg = self._leg_channel, self.leg
        self._leg_is_over(leg)
        facts = leg_channel.variables["COOVOX_LEG_FACTS"]
        stamps = f"{leg_channel.variables[dialplan.LEG_ANSWERED]}|{stamp(leg.ended_ms)}"
        record = f"{facts}|{stamps}|{cause}|{leg_channel.uniqueid}|{self.channel.uniqueid}|"
        caller_is_there = self.channel.name in self.pbx.channels
        if caller_is_there and (self.alone or self.pbx.astdb.get(dialplan.LEFTOVERS)):
            await asyncio.gather(self._settle(leg_channel, record), self._end("hangup", cause, talked="yes"))
        else:
            await self._settle(leg_channel, record)
        self._over("answered")

    async def is_transferred(self) -> None:
        """The caller leaves, and the trunk's leg talks on with somebody else."""
        await self._end("hangup", talked="yes")
        self._over("answered")

    async def gives_up(self, cause: str = NORMAL) -> None:
        """The caller hangs up while it rings, or after nobody answered, when our hangup handler is gone again."""
        if self.result != "unanswered":
            await self._end("hangup", cause)
        self._over("unanswered")

    def _leg_is_over(self, leg: TrueLeg) -> None:
        """By the stamps, but where the clock was set in between."""
        leg.ended_ms = self.pbx.clock.wall_ms()
        stamped = (leg.ended_ms - leg.answered_ms) / 1000
        true = self.pbx.clock.monotonic() - self._answered_at
        leg.talk_seconds = int(stamped) if abs(stamped - true) < SAME_CLOCK_SECONDS else int(true)
        leg.is_over = True

    def _over(self, result: str) -> None:
        self.channel.variables["COOVOX_RESULT"] = result
        self.pbx.channels.pop(self.channel.name, None)

    def _is_emergency(self) -> bool:
        astdb = self.pbx.astdb
        if astdb.get(f"{dialplan.EMERGENCY}/{self.number}"):
            return True
        return astdb.get(dialplan.COMPLETE) != "1" and self.number in BUILT_IN_EMERGENCY_NUMBERS

    async def _ask(self, ring_seconds: int, patience: float) -> None:
        arguments = dict.fromkeys(dialplan.AUTHORIZE_ARGUMENTS, "")
        arguments |= {
            "id": self.id,
            "asked": self.facts.rpartition("|")[2],
            "number": self.number,
            "trunk": self.trunk,
            "channel": self.channel.name,
            "uniqueid": self.channel.uniqueid,
            "linkedid": self.channel.uniqueid,
            "mirror": self.pbx.astdb.get(dialplan.MIRROR),
            "left": self.pbx.astdb.get(dialplan.LEFTOVERS),
            "ring": str(ring_seconds),
            "dial": f"PJSIP/{self.number}@{self.trunk}",
        }
        await self.pbx.agi("authorize", arguments, self.channel.variables, patience)

    def _decide_alone(self) -> None:
        astdb = self.pbx.astdb
        known = astdb.get(f"{dialplan.PAYER}/{self.device}") or astdb.get(f"{dialplan.PAYER}/{self.extension}")
        if known + astdb.get(dialplan.COMPLETE) == "1":
            known = "free"
        if known not in ("free", "locked"):
            known = astdb.get("policy")
        if astdb.get(dialplan.INACTIVE) == "1":
            known = "free"
        passes = known in ("free", "allow")
        self._be_alone("passed" if passes else "refused", "locked" if known == "locked" else "billing-down")

    def _be_alone(self, alone: str, reason: str) -> None:
        self.channel.variables |= {"COOVOX_ALONE": alone, dialplan.REASON: reason}

    async def _settle(self, channel: Channel, record: str) -> None:
        """`coovox-billing-settle`."""
        if not self.alone:
            channel.variables[dialplan.SETTLED] = ""
            arguments = {"id": self.id, "record": record}
            await self.pbx.agi("settle", arguments, channel.variables, SETTLE_PATIENCE_SECONDS)
        if channel.variables.get(dialplan.SETTLED) != "1":
            self._leave(channel, record)
            self.pbx.astdb.delete(f"{dialplan.TALKING_ALONE}/{self.id}.{channel.uniqueid}")
        self.pbx.note("HANGUP", channel, self.channel.uniqueid)
        self.pbx.channels.pop(channel.name, None)

    async def _end(self, why: str, cause: str = "", talked: str = "") -> None:
        """`coovox-billing-end`."""
        alone, left = self.alone, self.pbx.astdb.get(dialplan.LEFTOVERS)
        uniqueid = self.channel.uniqueid
        record = f"{self.facts}|{alone}||{self.pbx.stamp()}|{cause}|{uniqueid}|{uniqueid}|"
        if alone and not talked:
            self._leave(self.channel, record)
        if alone and not (why == "hangup" and alone == "emergency"):
            return
        if not alone and talked and not left:
            return
        variables = self.channel.variables
        variables[dialplan.ENDED] = ""
        arguments = {"id": self.id, "record": record, "talked": talked, "left": self.pbx.astdb.get(dialplan.LEFTOVERS)}
        patience = QUESTION_SECONDS if why == "unanswered" else SETTLE_PATIENCE_SECONDS
        await self.pbx.agi("end", arguments, variables, patience)
        if not (variables[dialplan.ENDED] + talked + alone):
            self._leave(self.channel, record)

    def _keep_talking_alone(self, channel: Channel) -> None:
        """What billing must know of a leg that it was not asked about, if this Asterisk dies."""
        answered = channel.variables[dialplan.LEG_ANSWERED]
        facts = channel.variables["COOVOX_LEG_FACTS"]
        record = f"{facts}|{answered}|{answered}||{channel.uniqueid}|{self.channel.uniqueid}|"
        self.pbx.astdb.put(f"{dialplan.TALKING_ALONE}/{self.id}.{channel.uniqueid}", record)
        self.pbx.astdb.put(dialplan.LEFTOVERS, "1")

    def _leave(self, channel: Channel, record: str) -> None:
        """`coovox-billing-leave`."""
        self.pbx.astdb.put(f"{dialplan.LEFT}/{self.id}.{channel.uniqueid}", record)
        self.pbx.astdb.put(dialplan.LEFTOVERS, "1")
        self.pbx.note(dialplan.LEFT_EVENT, channel, self.channel.uniqueid, f"{self.id}|{record}")
