"""Brings what the dialplan must know alone into AstDB, by revisions of the database's `mirror` table."""

from coovox_billing.pbx import dialplan_variables as dialplan
from coovox_billing.pbx.astdb import AstDb
from coovox_billing.store import reads
from coovox_billing.store.loop_database import LoopDatabase

ROWS_AT_ONCE = 500


async def bring_up_to_date(astdb: AstDb, database: LoopDatabase, known: str, ours: str) -> None:
    """Both markers are `DATABASE-ID:REVISION`; a foreign or missing one means all anew. May reach only a part."""
    identity, _, newest = ours.partition(":")
    known_identity, _, revision = known.partition(":")
    since = int(revision) if known_identity == identity and revision.isdigit() else 0
    if since == 0:
        for key in (dialplan.COMPLETE, dialplan.INACTIVE):
            await astdb.put(key, "")
        for key in (dialplan.PAYER, dialplan.EMERGENCY):
            await astdb.delete_tree(key)
    rows = await database.submit(lambda connection: reads.mirror_since(connection, since, ROWS_AT_ONCE))
    for row in rows:
        await astdb.put(row["key"], row["value"])
    reached = rows[-1]["revision"] if rows else int(newest)
    await astdb.put(dialplan.MIRROR, f"{identity}:{reached}")
    await astdb.put(dialplan.COMPLETE, "1" if reached >= int(newest) else "")
