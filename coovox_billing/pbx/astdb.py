"""Asterisk's own database, reached through an AGI session or the manager; ours is one family of it.

In it the dialplan finds what it must know when it is alone, and leaves what it did then (asterisk/README.md).
"""

from contextlib import suppress
from typing import Protocol

from coovox_billing.pbx import dialplan_variables as dialplan
from coovox_billing.pbx.agi_protocol import quoted
from coovox_billing.pbx.agi_server import Session
from coovox_billing.pbx.ami import Ami, AmiError


class AstDb(Protocol):
    """Keys and values, all text; an empty value is none. So many may be asked for at once."""

    at_once: int

    async def get(self, key: str) -> str:
        """The value of a key."""

    async def put(self, key: str, value: str) -> None:
        """Store a value; an empty one is deleted."""

    async def delete_tree(self, key: str) -> None:
        """Delete all below a key."""

    async def keys(self, tree: str) -> list[str]:
        """The keys below a key, without it."""


class SessionAstDb:
    """Over an AGI session; what it raises is that session's."""

    at_once = 1

    def __init__(self, session: Session) -> None:
        self._session = session

    async def get(self, key: str) -> str:
        return (await self._session.command(f"DATABASE GET {dialplan.FAMILY} {quoted(key)}")).value

    async def put(self, key: str, value: str) -> None:
        if value:
            await self._session.command(f"DATABASE PUT {dialplan.FAMILY} {quoted(key)} {quoted(value)}")
        else:
            await self._session.command(f"DATABASE DEL {dialplan.FAMILY} {quoted(key)}")

    async def delete_tree(self, key: str) -> None:
        await self._session.command(f"DATABASE DELTREE {dialplan.FAMILY} {key}")

    async def keys(self, tree: str) -> list[str]:
        reply = await self._session.command(f"GET FULL VARIABLE ${{DB_KEYS({dialplan.FAMILY}/{tree})}}")
        return [key for key in reply.value.split(",") if key]


class ManagerAstDb:
    """Over the manager. Raises AmiGone where there is no connection."""

    at_once = 20

    def __init__(self, ami: Ami) -> None:
        self._ami = ami

    async def get(self, key: str) -> str:
        try:
            (found,) = await self._ami.listing("DBGet", self._place(key))
        except AmiError:
            return ""
        return found.get("Val")

    async def put(self, key: str, value: str) -> None:
        if value:
            await self._ami.action("DBPut", self._place(key) | {"Val": value})
        elif await self.get(key):
            with suppress(AmiError):  # somebody else deleted it meanwhile
                await self._ami.action("DBDel", self._place(key))

    async def delete_tree(self, key: str) -> None:
        if await self._ami.listing("DBGetTree", self._place(key)):
            await self._ami.action("DBDelTree", self._place(key))

    async def keys(self, tree: str) -> list[str]:
        start = f"/{dialplan.FAMILY}/{tree}/"
        found = await self._ami.listing("DBGetTree", self._place(tree))
        return [item.get("Key").removeprefix(start) for item in found if item.get("Key").startswith(start)]

    def _place(self, key: str) -> dict[str, str]:
        return {"Family": dialplan.FAMILY, "Key": key}
