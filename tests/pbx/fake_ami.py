"""A fake Asterisk's manager over a real socket, and a client to speak to it, or to a real one.

    async with FakeAmi() as fake, connected(fake.address) as client:
        fake.answers["Status"] = lambda action: listed(action, "Status", {"Channel": "PJSIP/108-00000001"})
        (channel,) = await client.ami.listing("Status")

It signs in, boots, and answers what it is told to answer. Everything that was asked is in `fake.actions`; `send`
says what nobody asked for.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from types import TracebackType
from typing import Protocol, Self, TypeVar

from coovox_billing.pbx import dialplan_variables as dialplan
from coovox_billing.pbx.ami import Ami, AmiAddress, Message

GREETING = "Asterisk Call Manager/11.0.0\r\n"
HOST, USER, SECRET = "127.0.0.1", "test", "test"
Headers = Mapping[str, str] | Iterable[tuple[str, str]]
C = TypeVar("C")


@dataclass(frozen=True)
class Action:
    """One action as it came."""

    headers: tuple[tuple[str, str], ...]

    def get(self, name: str) -> str:
        return next((value for header, value in self.headers if header == name), "")

    @property
    def name(self) -> str:
        return self.get("Action")

    @property
    def action_id(self) -> str:
        return self.get("ActionID")


Answer = Callable[[Action], str]


def message(*headers: tuple[str, str]) -> str:
    """One message as Asterisk writes it."""
    return "".join(f"{name}: {value}\r\n" for name, value in headers) + "\r\n"


def success(action: Action, *headers: tuple[str, str]) -> str:
    return message(("Response", "Success"), ("ActionID", action.action_id), *headers)


def refused(action: Action, text: str) -> str:
    return message(("Response", "Error"), ("ActionID", action.action_id), ("Message", text))


class HasVariables(Protocol):
    """A fake channel, as the manager asks for its variables."""

    uniqueid: str
    variables: dict[str, str]


def on_channel(channels: Mapping[str, C], answer: Callable[[Action, C], str]) -> Callable[[Action], str]:
    """How an action about a channel is answered; refused where there is no such."""

    def find(action: Action) -> str:
        channel = channels.get(action.get("Channel"))
        return refused(action, "No such channel") if channel is None else answer(action, channel)

    return find


def get_variable(action: Action, channel: HasVariables) -> str:
    """What `Getvar` answers."""
    known = channel.variables | {"UNIQUEID": channel.uniqueid}
    return success(action, ("Variable", action.get("Variable")), ("Value", known.get(action.get("Variable"), "")))


def event(name: str, headers: Headers = ()) -> str:
    return message(("Event", name), *_pairs(headers))


def list_start(action: Action) -> str:
    return success(action, ("EventList", "start"), ("Message", "A list will follow"))


def list_item(action: Action, name: str, headers: Headers) -> str:
    """As `Status` does, with the ActionID at the end."""
    return message(("Event", name), *_pairs(headers), ("ActionID", action.action_id))


def list_end(action: Action, count: int) -> str:
    end = (("EventList", "Complete"), ("ListItems", str(count)))
    return message(("Event", f"{action.name}Complete"), ("ActionID", action.action_id), *end)


def listed(action: Action, name: str, *items: Headers) -> str:
    """A whole list."""
    between = "".join(list_item(action, name, item) for item in items)
    return list_start(action) + between + list_end(action, len(items))


def _pairs(headers: Headers) -> Iterable[tuple[str, str]]:
    return headers.items() if isinstance(headers, Mapping) else headers


class FakeAmi:
    """One Asterisk. It keeps its port and what it was told through `drop`, and through `stop` and `start`."""

    def __init__(self) -> None:
        self.answers: dict[str, Answer] = {"Login": self.sign_in, "Ping": lambda action: success(action)}
        self.actions: list[Action] = []
        self.connections = 0
        self.greeting = GREETING
        self.is_booted = True
        self.uptime = "3600"
        self.sends_bytes_singly = False
        self._port = 0
        self._server: asyncio.Server | None = None
        self._writers: dict[asyncio.StreamWriter, None] = {}

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        await self.stop()

    @property
    def address(self) -> AmiAddress:
        return AmiAddress(HOST, self._port, USER, SECRET)

    @property
    def is_anybody_there(self) -> bool:
        return bool(self._writers)

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, HOST, self._port)
        self._port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Nobody listens any more."""
        assert self._server is not None
        self._server.close()
        while self._writers:
            await self.drop()
            await asyncio.sleep(0)

    async def drop(self) -> None:
        """Close the connections there are."""
        for writer in tuple(self._writers):
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()

    async def send(self, text: str | bytes) -> None:
        """Say this to whoever is signed in or signing in."""
        for writer in tuple(self._writers):
            await self._write(writer, text.encode() if isinstance(text, str) else text)

    def asked(self, name: str) -> list[Action]:
        """All actions of that name so far."""
        return [action for action in self.actions if action.name == name]

    def sign_in(self, action: Action) -> str:
        if (action.get("Username"), action.get("Secret")) != (USER, SECRET):
            return refused(action, "Authentication failed")
        booted = event("FullyBooted", {"Privilege": "system,all", "Uptime": self.uptime}) if self.is_booted else ""
        return success(action, ("Message", "Authentication accepted")) + booted

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._writers[writer] = None
        try:
            await self._write(writer, self.greeting.encode())
            while True:
                await self._answer(writer, await reader.readuntil(b"\r\n\r\n"))
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            del self._writers[writer]
            writer.close()

    async def _answer(self, writer: asyncio.StreamWriter, text: bytes) -> None:
        lines = text.decode().strip().split("\r\n")
        pairs = (line.partition(": ")[::2] for line in lines)
        action = Action(tuple(pairs))
        self.actions.append(action)
        unknown: Answer = lambda action: refused(action, f"Invalid/unknown command: {action.name}.")  # noqa: E731
        await self._write(writer, self.answers.get(action.name, unknown)(action).encode())

    async def _write(self, writer: asyncio.StreamWriter, data: bytes) -> None:
        pieces = [data[place : place + 1] for place in range(len(data))] if self.sends_bytes_singly else [data]
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            if self.sends_bytes_singly:
                await asyncio.sleep(0)


@dataclass
class FakeAstDb:
    """Asterisk's database behind the fake manager."""

    rows: dict[str, str] = field(default_factory=dict)

    def serve(self, fake: FakeAmi) -> None:
        fake.answers |= {
            "DBGet": self._get,
            "DBPut": self._put,
            "DBDel": self._delete,
            "DBGetTree": self._tree,
            "DBDelTree": self._delete_tree,
        }

    def _key(self, action: Action) -> str:
        assert action.get("Family") == dialplan.FAMILY
        return action.get("Key")

    def _get(self, action: Action) -> str:
        value = self.rows.get(self._key(action))
        return refused(action, "Database entry not found") if value is None else listed(action, "R", {"Val": value})

    def _put(self, action: Action) -> str:
        self.rows[self._key(action)] = action.get("Val")
        return success(action)

    def _delete(self, action: Action) -> str:
        found = self.rows.pop(self._key(action), None)
        return refused(action, "Database entry could not be deleted") if found is None else success(action)

    def _below(self, action: Action) -> list[str]:
        return [key for key in self.rows if key.startswith(f"{self._key(action)}/")]

    def _tree(self, action: Action) -> str:
        rows = [{"Key": f"/{dialplan.FAMILY}/{key}", "Val": self.rows[key]} for key in self._below(action)]
        return listed(action, "DBGetTreeResponse", *rows)

    def _delete_tree(self, action: Action) -> str:
        for key in self._below(action):
            del self.rows[key]
        return success(action)


class Client:
    """An `Ami` and what it told."""

    def __init__(self, address: AmiAddress) -> None:
        self.heard: list[Message] = []
        self.occasions: list[str] = []
        ready, lost = partial(self.occasions.append, "ready"), partial(self.occasions.append, "lost")
        self.ami = Ami(address, self.heard.append, ready, lost)

    @property
    def events(self) -> list[str]:
        """The names of the events so far."""
        return [told.get("Event") for told in self.heard]


@asynccontextmanager
async def running(address: AmiAddress) -> AsyncIterator[Client]:
    """A client that runs, connected or not."""
    client = Client(address)
    task = asyncio.create_task(client.ami.run())
    try:
        yield client
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


@asynccontextmanager
async def connected(address: AmiAddress) -> AsyncIterator[Client]:
    """A client that is ready."""
    async with running(address) as client:
        await until(lambda: client.ami.is_ready)
        yield client


async def until(fact: Callable[[], object], seconds: float = 5.0) -> None:
    """Wait for a fact that others of this loop bring about."""
    async with asyncio.timeout(seconds):
        while not fact():
            await asyncio.sleep(0.002)
