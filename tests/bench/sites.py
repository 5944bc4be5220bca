"""Sites of any size and ten years of age, each made once and kept: what a big site costs is measured on them.

`a_site` makes one or finds it, in `run/bench` or where COOVOX_BENCH_SITES says: nobody writes into it. Who does so
takes `a_copy` or `a_spare`, or has it `lent`, which is as quick for a site of any size, but its log is never brought
home. A kept site is of exactly this schema and of this generator, else it is made anew.
"""

import fcntl
import hashlib
import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from coovox_billing.store import finished_periods
from coovox_billing.store.database import FILE_NAME, connect, open_database
from coovox_billing.store.schema import migrations
from tests.bench import decade
from tests.bench.servers import ROOT

SITES = Path(os.environ.get("COOVOX_BENCH_SITES", ROOT / "run" / "bench"))
_BLOCK_BYTES = 1 << 20
_BUILT_APART = ("calls", "ledger")


def a_site(extensions: int = 50, rates: int = 1_000, past_calls: int = 100_000) -> Path:
    """The data directory of a site that is not to be written into; ten million calls take minutes, once."""
    kind = f"{extensions}-{rates}-{past_calls}"
    kept = SITES / f"{kind}-{_mark()}"
    SITES.mkdir(parents=True, exist_ok=True)
    with (SITES / "making.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not kept.exists():
            for stale in SITES.glob(f"{kind}-*"):
                shutil.rmtree(stale)
            making = SITES / f"{kind}-making"
            make(making, extensions, rates, past_calls)
            making.rename(kept)
    return kept


def a_copy(site: Path, folder: Path) -> Path:
    """The same site to write into, in a folder that is not there yet."""
    # Without the log that somebody left who was killed while he had it lent.
    return Path(shutil.copytree(site, folder, ignore=shutil.ignore_patterns("*-wal", "*-shm")))


def a_spare(site: Path) -> Path:
    """A second one to write into, which is kept too: what was written into it before is taken back, and no more.

    So a large site is copied once. A disk that just took ten gigabytes would be slow at what is measured next.
    """
    spare = site.with_name(f"{site.name}-spare")
    if not spare.exists():
        return a_copy(site, spare)
    for path in spare.iterdir():
        if path.name != FILE_NAME:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    with (site / FILE_NAME).open("rb") as kept, (spare / FILE_NAME).open("r+b") as written:
        while block := kept.read(_BLOCK_BYTES):
            if written.read(len(block)) != block:
                written.seek(kept.tell() - len(block))
                written.write(block)
        written.truncate(kept.tell())
    return spare


@contextmanager
def lent(site: Path) -> Iterator[Path]:
    """The site itself to write into, which has forgotten all that afterwards; nobody else has it meanwhile.

    What is written stays in the log beside the database, for a reader that began before keeps SQLite from bringing it
    home, and cannot do so itself; then the log is thrown away. Who wrote has ended by then.
    """
    with (site.parent / f".{site.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        before = {path.name for path in site.iterdir()}
        _forget_log(site)
        with closing(sqlite3.connect(f"file:{site / FILE_NAME}?mode=ro", uri=True, isolation_level=None)) as reader:
            reader.execute("BEGIN")
            reader.execute("SELECT count(*) FROM site").fetchone()
            yield site
        _forget_log(site)
        for path in site.iterdir():
            if path.name not in before:
                shutil.rmtree(path) if path.is_dir() else path.unlink()


def _forget_log(site: Path) -> None:
    for end in ("-wal", "-shm"):
        (site / f"{FILE_NAME}{end}").unlink(missing_ok=True)


def _mark() -> str:
    """Another one for every other schema and generator."""
    sources = (*migrations(), Path(__file__), Path(decade.__file__))
    return hashlib.sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()[:12]


def make(directory: Path, extensions: int, rates: int, past_calls: int) -> None:
    """Make a site in a directory, which is emptied before."""
    shutil.rmtree(directory, ignore_errors=True)
    with open_database(directory) as database:
        database.write(lambda connection: decade.furnish(connection, extensions, rates))
    with closing(connect(directory / FILE_NAME)) as connection:
        _go_quickly(connection)
        with _indexed_later(connection):
            _live_through(connection, decade.Decade(connection, past_calls))
        for period in finished_periods.waiting(connection):
            finished_periods.finish(connection, period)
    with closing(connect(directory / FILE_NAME)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def _live_through(connection: sqlite3.Connection, years: decade.Decade) -> None:
    insert_calls = _insert("calls", decade.CALL_COLUMNS)
    insert_entries = _insert("ledger", decade.ENTRY_COLUMNS)
    insert_changes = _insert("changes", decade.CHANGE_COLUMNS)
    connection.execute("BEGIN")
    for written in years.days():
        connection.executemany(insert_calls, written.calls)
        connection.executemany(insert_entries, written.entries)
        connection.executemany(insert_changes, written.changes)
        _add_totals(connection, written)
    connection.executemany("UPDATE accounts SET balance_micros = ? WHERE id = ?", years.balances)
    connection.execute("COMMIT")


def _insert(table: str, columns: tuple[str, ...]) -> str:
    return f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})"


def _add_totals(connection: sqlite3.Connection, written: decade.Written) -> None:
    for table, key in decade.TOTALS.items():
        columns = ["calls", "talk_seconds", "cost_micros", *(["unanswered", "refused"] if key == "trunk" else [])]
        added = ", ".join(f"{column} = {column} + excluded.{column}" for column in columns)
        connection.executemany(
            f"{_insert(table, ('day', key, *columns))} ON CONFLICT (day, {key}) DO UPDATE SET {added}",
            [(*place, *sums[: len(columns)]) for place, sums in written.totals[table].items()],
        )


def _go_quickly(connection: sqlite3.Connection) -> None:
    """What is not finished is thrown away, so that nothing needs to be safe meanwhile."""
    for pragma in ("journal_mode = OFF", "synchronous = OFF", "locking_mode = EXCLUSIVE", "cache_size = -1000000"):
        connection.execute(f"PRAGMA {pragma}").fetchall()


@contextmanager
def _indexed_later(connection: sqlite3.Connection) -> Iterator[None]:
    """Indexes and triggers of the big tables are away meanwhile, then there again word for word."""
    marks = ", ".join("?" * len(_BUILT_APART))
    put_away = connection.execute(
        "SELECT type, name, sql FROM sqlite_master WHERE type IN ('index', 'trigger') AND sql IS NOT NULL"
        f" AND tbl_name IN ({marks}) ORDER BY rowid",
        _BUILT_APART,
    ).fetchall()
    for kind, name, _sql in put_away:
        connection.execute(f"DROP {kind} {name}")
    yield
    for _kind, _name, sql in put_away:
        connection.execute(sql)
