"""Books what the dialplan did alone and left in AstDB: late, once, and deleted there only after the commit."""

import logging
import sqlite3
from collections.abc import Awaitable, Callable

from coovox_billing.core.leg import Leg, parse_leg
from coovox_billing.errors import BadInput
from coovox_billing.pbx import dialplan_variables as dialplan
from coovox_billing.pbx.astdb import AstDb
from coovox_billing.store.write_group import TooLate

RECORDS_AT_ONCE = 50

# Stores a leg of a call; raises TimeoutError where that takes too long.
Book = Callable[[str, Leg], Awaitable[None]]

log = logging.getLogger(__name__)


async def collect(astdb: AstDb, book: Book) -> None:
    """Book what the dialplan left. The flag that tells of it is lowered only where nothing is left."""
    for key in (await astdb.left())[:RECORDS_AT_ONCE]:
        await _take_over(astdb, key, book)
    if not await astdb.left():
        await astdb.put(dialplan.LEFTOVERS, "")
    if await astdb.left():
        await astdb.put(dialplan.LEFTOVERS, "1")


async def _take_over(astdb: AstDb, key: str, book: Book) -> None:
    name = f"{dialplan.LEFT}/{key}"
    record = await astdb.get(name)
    if not record:
        return  # another session took it meanwhile
    try:
        await book(key.partition(".")[0], parse_leg(record))
    except (sqlite3.Error, TooLate, TimeoutError) as error:
        log.error("AstDB %s/%s could not be booked yet: %s", dialplan.FAMILY, name, error)
        return
    except (BadInput, ArithmeticError, ValueError) as error:
        log.error("AstDB %s/%s is no record and goes to %s: %s", dialplan.FAMILY, name, dialplan.STRANGE, error)
        await astdb.put(f"{dialplan.STRANGE}/{key}", record)
    await astdb.put(name, "")
