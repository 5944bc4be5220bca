"""Books what the dialplan did alone and left in AstDB: late, once, and deleted there only after the commit."""

import asyncio
import logging
import sqlite3
from collections.abc import Awaitable, Callable
from enum import Enum, auto
from typing import Protocol

from coovox_billing.core.call import Source
from coovox_billing.core.leg import Leg, parse_leg
from coovox_billing.errors import BadInput
from coovox_billing.pbx import dialplan_variables as dialplan
from coovox_billing.pbx.astdb import AstDb
from coovox_billing.store.write_group import TooLate

# How many are booked at once: a call waits for its own session, nobody for the manager.
MOST_IN_A_SESSION = 50
MOST_OVER_THE_MANAGER = 5_000


class Remains(Enum):
    """What is left once some was booked: nothing, what can be booked at once, or what could not be booked just now."""

    NOTHING = auto()
    MORE = auto()
    STUCK = auto()


class Books(Protocol):
    """Where legs are stored. Both raise TimeoutError where that takes too long."""

    async def book(self, call_id: str, leg: Leg, source: Source = Source.ASTDB) -> None:
        """A leg that has ended, and which of Asterisk's records told."""

    async def begin(self, call_id: str, leg: Leg) -> None:
        """An answered leg that billing was not asked about; it may still talk, and its end is not known."""


log = logging.getLogger(__name__)


class Collector:
    """Books what the dialplan left, for whoever finds it. One at a time: several would all book the same records.

    `is_wanted`: something was left, and whoever has the manager is to look soon. `backlog`: how many records were
    there at the last look and could not be booked.
    """

    def __init__(self, books: Books) -> None:
        self.has_collected = False
        self.is_wanted = False
        self.backlog = 0
        self._books = books
        self._is_busy = False

    async def collect(self, astdb: AstDb, most: int) -> Remains:
        """Book up to so many records, unless somebody else is at it: then there may be more.

        The flag that tells of it is lowered only where nothing is left.
        """
        if self._is_busy:
            return Remains.MORE
        self._is_busy = True
        self.is_wanted = False
        try:
            remains = await self._book_some(astdb, most)
        finally:
            self._is_busy = False
        self.has_collected = True
        return remains

    async def _book_some(self, astdb: AstDb, most: int) -> Remains:
        for tree, book in ((dialplan.LEFT, self._books.book), (dialplan.TALKING_ALONE, self._books.begin)):
            keys = await astdb.keys(tree)
            some, has_taken = keys[:most], False
            for start in range(0, len(some), astdb.at_once):
                taking = (_take_over(astdb, tree, key, book) for key in some[start : start + astdb.at_once])
                has_taken |= any(await asyncio.gather(*taking))
            if len(keys) > most:
                self.backlog = len(keys) - most
                return Remains.MORE if has_taken else Remains.STUCK
        self.backlog = await _left(astdb)
        if self.backlog:
            await astdb.put(dialplan.LEFTOVERS, "1")
            return Remains.STUCK
        await astdb.put(dialplan.LEFTOVERS, "")
        if await _left(astdb):
            await astdb.put(dialplan.LEFTOVERS, "1")
            return Remains.MORE
        return Remains.NOTHING


async def _left(astdb: AstDb) -> int:
    return len(await astdb.keys(dialplan.LEFT)) + len(await astdb.keys(dialplan.TALKING_ALONE))


async def _take_over(astdb: AstDb, tree: str, key: str, book: Callable[[str, Leg], Awaitable[None]]) -> bool:
    """Whether the record is not there any more."""
    name = f"{tree}/{key}"
    record = await astdb.get(name)
    if not record:
        return True  # another session took it meanwhile
    try:
        await book(key.partition(".")[0], parse_leg(record))
    except (sqlite3.Error, TooLate, TimeoutError) as error:
        log.error("AstDB %s/%s could not be booked yet: %s", dialplan.FAMILY, name, error)
        return False
    except (BadInput, ArithmeticError, ValueError) as error:
        log.error("AstDB %s/%s is no record and goes to %s: %s", dialplan.FAMILY, name, dialplan.STRANGE, error)
        await astdb.put(f"{dialplan.STRANGE}/{key}", record)
    await astdb.put(name, "")
    return True
