"""An upgrade to a schema of the future: one migration that makes a long table anew, and one that adds to it."""

from pathlib import Path

from coovox_billing.store import schema
from coovox_billing.store.database import upgrade

RELEASED = tuple(schema.migrations())
REBUILD = """
CREATE TABLE changes_anew (
    id INTEGER PRIMARY KEY AUTOINCREMENT, at_ms INTEGER NOT NULL, actor TEXT NOT NULL, origin TEXT NOT NULL,
    what TEXT NOT NULL, before TEXT NOT NULL, after TEXT NOT NULL, place TEXT NOT NULL DEFAULT ''
);
INSERT INTO changes_anew (id, at_ms, actor, origin, what, before, after)
    SELECT id, at_ms, actor, origin, what, before, after FROM changes;
DROP TABLE changes;
ALTER TABLE changes_anew RENAME TO changes;
UPDATE accounts SET name = name || ' the first';
"""
ADD = "ALTER TABLE changes ADD COLUMN floor INTEGER;\nCREATE INDEX changes_floor ON changes (floor, what);\n"
WRONG = "CREATE TABLE fine (id INTEGER);\nUPDATE accounts SET name = nobody;\n"


def use(folder: Path, *scripts: str) -> None:
    """From now on the program of this process is one that knows further migrations."""
    further = []
    for number, script in enumerate(scripts, start=len(RELEASED) + 1):
        path = folder / f"{number:04}_of_the_future.sql"
        if not path.exists():
            path.write_text(script, encoding="utf-8")
        further.append(path)
    schema.migrations = lambda: [*RELEASED, *further]


def upgrade_to_the_future(data: Path) -> None:
    """What a first start of a program of the future does."""
    use(data.parent, REBUILD, ADD)
    schema.WAIT_SECONDS = 0.0
    upgrade(data)
