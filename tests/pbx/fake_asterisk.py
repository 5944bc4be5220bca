"""A fake Asterisk that speaks FastAGI over a real socket, and a call plane's server to speak to.

It sends what `asterisk/extensions_coovox_billing.conf` sends, answers commands
as Asterisk does, and keeps channel variables and an AstDB.
"""

import asyncio
import shlex
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from coovox_billing.core.leg import Leg
from coovox_billing.pbx import dialplan_variables as dialplan
from coovox_billing.pbx.agi_server import AgiServer, Handler
from coovox_billing.store.loop_database import LoopDatabase
from tests.cast import CITY_NUMBER, NOW_MS, a_record

PATIENCE_SECONDS = 10
DB_KEYS = "${DB_KEYS("


@contextmanager
def serving(handlers: Mapping[str, Handler], database: LoopDatabase | None = None) -> Iterator[int]:
    """A FastAGI server in a thread of its own, with the database its handlers write to; gives its port."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="call plane", daemon=True)
    thread.start()
    server = AgiServer(handlers)
    asyncio.run_coroutine_threadsafe(server.start("127.0.0.1", 0), loop).result(PATIENCE_SECONDS)
    try:
        yield server.port
    finally:
        asyncio.run_coroutine_threadsafe(server.stop(), loop).result(PATIENCE_SECONDS)
        asyncio.run_coroutine_threadsafe(_drain(), loop).result(PATIENCE_SECONDS)
        if database is not None:
            asyncio.run_coroutine_threadsafe(database.close(), loop).result(PATIENCE_SECONDS)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(PATIENCE_SECONDS)
        loop.close()


async def _drain() -> None:
    others = asyncio.all_tasks() - {asyncio.current_task()}
    await asyncio.wait_for(asyncio.gather(*others, return_exceptions=True), PATIENCE_SECONDS)


@dataclass
class Outcome:
    """What an AGI() left behind: channel variables, the commands that came, how long it took."""

    variables: dict[str, str] = field(default_factory=dict)
    commands: list[str] = field(default_factory=list)
    seconds: float = 0.0


class FakeAsterisk:
    """One Asterisk: its AstDB lives as long as it does, channel variables as long as an AGI()."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.astdb: dict[str, str] = {}
        self.on_command: Callable[[str], None] = lambda command: None
        self.leaves_at: str | None = None

    def authorize(self, call_id: str, extension: str = "100", number: str = CITY_NUMBER, **changes: str) -> Outcome:
        """The question before the Dial, as the dialplan asks it."""
        arguments = dict.fromkeys(dialplan.AUTHORIZE_ARGUMENTS, "")
        arguments |= {
            "id": call_id,
            "asked": stamp(NOW_MS),
            "number": number,
            "trunk": "carrier",
            "channel": f"PJSIP/{extension}-0000000a",
            "uniqueid": "1772442000.1",
            "linkedid": "1772442000.1",
            "mirror": self._astdb_value(dialplan.MIRROR),
            "left": self._astdb_value(dialplan.LEFTOVERS),
            "dial": f"PJSIP/{number}@carrier",
        }
        return self.agi("authorize", arguments | changes)

    def settle(self, call_id: str, leg: Leg) -> Outcome:
        """The trunk's leg ended."""
        return self.agi("settle", {"id": call_id, "record": a_record(leg)})

    def end(self, call_id: str, leg: Leg, talked: str = "") -> Outcome:
        """The caller's side ended."""
        left = self._astdb_value(dialplan.LEFTOVERS)
        return self.agi("end", {"id": call_id, "record": a_record(leg), "talked": talked, "left": left})

    def leave(self, call_id: str, leg: Leg, uniqueid: str = "1772442000.2") -> None:
        """What billing was not asked about, or did not take, is left in AstDB."""
        self.put(f"{dialplan.LEFT}/{call_id}.{uniqueid}", a_record(leg))
        self.put(dialplan.LEFTOVERS, "1")

    def put(self, key: str, value: str) -> None:
        """Store a value of billing's family in AstDB."""
        self.astdb[f"{dialplan.FAMILY}/{key}"] = value

    def billing(self, below: str = "") -> dict[str, str]:
        """Billing's part of AstDB, or what is below one of its keys."""
        start = f"{dialplan.FAMILY}/{below}"
        return {key.removeprefix(start): value for key, value in self.astdb.items() if key.startswith(start)}

    def agi(self, path: str, arguments: Mapping[str, str]) -> Outcome:
        """`AGI(agi://127.0.0.1/PATH,NAME=VALUE,...)`: runs until the other side closes."""
        outcome, began = Outcome(), time.monotonic()
        with connected(self.port) as peer:
            peer.sendall(environment(path, arguments))
            for line in peer.makefile("r", encoding="utf-8"):
                command = line.rstrip("\n")
                outcome.commands.append(command)
                if self.leaves_at is not None and self.leaves_at in command:
                    break
                self.on_command(command)
                peer.sendall(self._answer(command, outcome.variables).encode() + b"\n")
        outcome.seconds = time.monotonic() - began
        return outcome

    def _answer(self, command: str, variables: dict[str, str]) -> str:
        match shlex.split(command):
            case ["SET", "VARIABLE", name, value]:
                variables |= _assigned(name, value)
                return "200 result=1"
            case ["DATABASE", "PUT", family, key, value]:
                self.astdb[f"{family}/{key}"] = value
                return "200 result=1"
            case ["DATABASE", "GET", family, key]:
                found = self.astdb.get(f"{family}/{key}")
                return "200 result=0" if found is None else f"200 result=1 ({found})"
            case ["DATABASE", "DEL", family, key]:
                return f"200 result={int(self.astdb.pop(f'{family}/{key}', None) is not None)}"
            case ["DATABASE", "DELTREE", family, tree]:
                return f"200 result={int(self._delete_tree(f'{family}/{tree}'))}"
            case ["GET", "FULL", "VARIABLE", text] if text.startswith(DB_KEYS):
                return f"200 result=1 ({self._keys(text.removeprefix(DB_KEYS).removesuffix(')}'))})"
        return "510 Invalid or unknown command"

    def _delete_tree(self, tree: str) -> bool:
        below = [key for key in self.astdb if key == tree or key.startswith(f"{tree}/")]
        for key in below:
            del self.astdb[key]
        return bool(below)

    def _keys(self, tree: str) -> str:
        below = (key.removeprefix(f"{tree}/") for key in self.astdb if key.startswith(f"{tree}/"))
        return ",".join(dict.fromkeys(key.partition("/")[0] for key in below))

    def _astdb_value(self, key: str) -> str:
        return self.astdb.get(f"{dialplan.FAMILY}/{key}", "")


@contextmanager
def connected(port: int) -> Iterator[socket.socket]:
    """A bare connection, for what a well-behaved Asterisk would not send."""
    with socket.create_connection(("127.0.0.1", port), PATIENCE_SECONDS) as peer:
        yield peer


def environment(path: str, arguments: Mapping[str, str]) -> bytes:
    """The lines with which Asterisk opens a session."""
    lines = [
        "agi_network: yes",
        f"agi_network_script: {path}",
        f"agi_request: agi://127.0.0.1/{path}",
        "agi_channel: PJSIP/100-0000000a",
        "agi_uniqueid: 1772442000.1",
        "agi_callerid: 100",
        "agi_context: coovox-billing-dial",
        "agi_extension: s",
        *(f"agi_arg_{number}: {name}={value}" for number, (name, value) in enumerate(arguments.items(), start=1)),
    ]
    return "\n".join([*lines, "", ""]).encode()


def is_closed(peer: socket.socket, within_seconds: float) -> bool:
    """Whether the other side closes in time, having sent nothing more."""
    peer.settimeout(within_seconds)
    try:
        return peer.recv(1) == b""
    except ConnectionError:
        return True
    except TimeoutError:
        return False


def stamp(ms: int) -> str:
    """A time stamp as the dialplan makes it."""
    return f"{ms // 1000}.{ms % 1000:03d}"


def _assigned(name: str, value: str) -> dict[str, str]:
    if not name.startswith("ARRAY("):
        return {name: value}
    names = name.removeprefix("ARRAY(").removesuffix(")").split(",")
    values = value.split(",")
    return dict(zip(names, values + [""] * (len(names) - len(values)), strict=False))
