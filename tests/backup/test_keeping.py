"""A scheduled backup: made, kept, thinned out, told; one that fails is told, tried again, and costs no other."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from coovox_billing.backup import archive, keeping
from coovox_billing.backup.runner import Runner
from coovox_billing.errors import Refused
from coovox_billing.services import backups
from coovox_billing.services.backups import State
from tests.cast import MANAGER, NOW_MS, Exchange, audited, look_up
from tests.licenses import a_device

DAY_MS = 86_400_000
PASSPHRASE = "horse battery staple"


def back_up(exchange: Exchange, now_ms: int = NOW_MS) -> State:
    return keeping.back_up(exchange.database, exchange.database.path.parent, a_device(), now_ms)


def kept(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir() if path.name.startswith(("billing-", ".billing-"))}


def test_it_keeps_one_in_the_data_directory(exchange: Exchange, tmp_path: Path) -> None:
    state = back_up(exchange)
    assert kept(tmp_path / "backups") == {state.good_name}
    assert (state.good_ms, state.failures, [one.name for one in state.stored]) == (NOW_MS, 0, [state.good_name])
    assert backups.state(tmp_path) == state
    out = io.BytesIO()
    keeping.fetch(exchange.database, tmp_path, state.good_name, out)
    (tmp_path / "there").mkdir()
    assert audited(archive.unpack(io.BytesIO(out.getvalue()), tmp_path / "there").database) == []


def test_it_encrypts_with_the_stored_passphrase(exchange: Exchange, tmp_path: Path) -> None:
    exchange.database.write(lambda c: backups.keep_secrets(c, tmp_path, {"passphrase": PASSPHRASE}, MANAGER))
    name = back_up(exchange).good_name
    assert name.endswith(".tar.gz.age")
    (tmp_path / "there").mkdir()
    with (tmp_path / "backups" / name).open("rb") as file:
        assert archive.unpack(file, tmp_path / "there", PASSPHRASE).told.rows["accounts"] == 4


def test_it_thins_out_what_it_made_and_nothing_else(exchange: Exchange, tmp_path: Path) -> None:
    exchange.set("backup_to", f"{tmp_path}/stick")
    exchange.set("backup_keep", "2 0 0")
    first = back_up(exchange).good_name
    others = {"holiday.jpg", first.replace(first[8:16], "01234567"), f"{first}.old"}
    for name in others:
        (tmp_path / "stick" / name).write_text("mine")
    for day in range(1, 5):
        state = back_up(exchange, NOW_MS + day * DAY_MS)
    names = {path.name for path in (tmp_path / "stick").iterdir()}
    assert others < names
    assert names - others == {one.name for one in state.stored}
    assert len(state.stored) == 2


def test_it_tells_why_it_failed_and_keeps_the_good_ones(exchange: Exchange, tmp_path: Path) -> None:
    good = back_up(exchange)
    exchange.set("backup_to", f"{tmp_path}/not/there")
    for number in (1, 2):
        with pytest.raises(Refused, match="cannot be used: No such file"):
            back_up(exchange, NOW_MS + number)
    state = backups.state(tmp_path)
    assert (state.good_ms, state.failures, state.failed_ms) == (NOW_MS, 2, NOW_MS + 2)
    assert "No such file" in state.failure
    assert kept(tmp_path / "backups") == {good.good_name}
    exchange.set("backup_to", "")
    assert back_up(exchange, NOW_MS + DAY_MS).failures == 0


KILLED = """
import os, signal, sys
from pathlib import Path
from coovox_billing.backup import keeping
from coovox_billing.store.database import Database
from tests.licenses import a_device
directory = Path(sys.argv[1])
database = Database(directory / sys.argv[2])
keeping.back_up(database, directory, a_device(), int(sys.argv[3]), lambda: os.kill(os.getpid(), 9))
"""


def test_it_counts_one_that_was_killed_and_cleans_up_after_it(exchange: Exchange, tmp_path: Path) -> None:
    command = [sys.executable, "-c", KILLED, str(tmp_path), exchange.database.path.name, str(NOW_MS)]
    root = Path(__file__).parents[2]
    assert subprocess.run(command, cwd=root, env=os.environ | {"PYTHONPATH": str(root)}).returncode == -9
    state = backups.state(tmp_path)
    assert (state.failures, state.failed_ms) == (1, NOW_MS)
    assert "broken off" in state.failure
    assert any(path.name.startswith("working-copy-") for path in (tmp_path / "backups").iterdir())
    assert back_up(exchange, NOW_MS + 1).failures == 0
    assert {path.name for path in (tmp_path / "backups").iterdir()} == {backups.state(tmp_path).good_name}


def test_it_makes_one_at_a_time(exchange: Exchange, tmp_path: Path) -> None:
    entered, leave = threading.Event(), threading.Event()

    def wait() -> None:
        entered.set()
        leave.wait(10)

    slow = threading.Thread(
        target=lambda: keeping.back_up(exchange.database, tmp_path, a_device(), NOW_MS, wait), daemon=True
    )
    slow.start()
    assert entered.wait(10)
    with pytest.raises(Refused, match="being made just now"):
        back_up(exchange, NOW_MS + 1)
    leave.set()
    slow.join(10)
    assert backups.state(tmp_path).failures == 0, "the other one was not begun"


def test_it_fetches_nothing_but_backups(exchange: Exchange, tmp_path: Path) -> None:
    back_up(exchange)
    for name in ("../coovox-billing.sqlite3", "first-password", "billing-00000000-20260302T090000Z.tar.gz"):
        with pytest.raises(Refused, match="no backup of this site"):
            keeping.fetch(exchange.database, tmp_path, name, io.BytesIO())


@pytest.mark.parametrize("text", ["", "[]", "{", '{"failures": 1, "why": "x"}', '{"unknown": 1}', '{"stored": [{}]}'])
def test_it_begins_anew_where_nobody_can_tell_what_was(tmp_path: Path, text: str) -> None:
    (tmp_path / backups.STATE_FILE).write_text(text)
    assert backups.state(tmp_path) == State()


def test_it_never_tells_a_secret(exchange: Exchange, tmp_path: Path) -> None:
    secrets = {"passphrase": PASSPHRASE, "s3-secret": "TopSecret0815"}
    exchange.database.write(lambda c: backups.keep_secrets(c, tmp_path, secrets, MANAGER))
    assert (tmp_path / backups.SECRETS_FILE).stat().st_mode & 0o077 == 0
    state = back_up(exchange)
    told = look_up(exchange.database.path, "SELECT group_concat(what || before || after) FROM changes")[0][0]
    assert "backup passphrase" in told
    for secret in secrets.values():
        assert secret not in told
        assert secret not in repr(state)
        assert secret.encode() not in exchange.database.path.read_bytes()
    exchange.database.write(lambda c: backups.keep_secrets(c, tmp_path, {"passphrase": ""}, MANAGER))
    assert backups.secrets(tmp_path) == {"s3-secret": "TopSecret0815"}


def test_it_warns_once_one_is_missing_for_a_day(exchange: Exchange, tmp_path: Path) -> None:
    def finding(now_ms: int) -> tuple[bool, str]:
        found = exchange.database.read(lambda c: backups.check(c, tmp_path, now_ms))
        return found.is_good, found.finding

    assert finding(NOW_MS) == (True, "none is scheduled")
    exchange.set("backup_at", "02:30")
    assert finding(NOW_MS) == (True, "no backup yet")
    back_up(exchange)
    assert finding(NOW_MS + DAY_MS) == (True, "the last good one is 24 h old")
    is_good, told = finding(NOW_MS + 3 * DAY_MS)
    assert (is_good, told) == (False, "the last good one is 3 days old")


class Site:
    """A site whose backups a runner looks after, with a program that only leaves a trace."""

    def __init__(self, exchange: Exchange, folder: Path) -> None:
        self.exchange, self.folder, self.now_ms = exchange, folder, NOW_MS
        script = (
            f"import pathlib, sys; pathlib.Path({str(folder)!r}, 'ran').open('a').write(' '.join(sys.argv[1:]) + ';')"
        )
        self.runner = Runner(exchange.database, folder, lambda: self.now_ms, (sys.executable, "-c", script))

    def look(self, released_ms: int = 0) -> int:
        """Look once; how often it was begun so far."""
        self.runner.start_if_due(released_ms)
        deadline = time.monotonic() + 10
        while self.runner.is_running() and time.monotonic() < deadline:
            time.sleep(0.01)
        ran = self.folder / "ran"
        return ran.read_text().count("backups now;") if ran.exists() else 0


def test_it_begins_one_when_it_is_time(exchange: Exchange, tmp_path: Path) -> None:
    site = Site(exchange, tmp_path)
    assert site.look() == 0
    exchange.set("backup_at", "02:30")
    assert site.look(released_ms=NOW_MS + 1) == 0, "the clock is wrong"
    assert site.look() == 1
    backups.keep_state(tmp_path, State(good_ms=NOW_MS))
    assert site.look() == 1
    site.now_ms += DAY_MS
    assert site.look() == 2
    site.now_ms = NOW_MS - 400 * DAY_MS
    assert site.look() == 3, "the last good one is of a future that was none"


def test_it_ends_looking_when_it_is_told(exchange: Exchange, tmp_path: Path) -> None:
    stopping = threading.Event()
    looking = threading.Thread(target=Site(exchange, tmp_path).runner.look_after, args=(0, stopping))
    looking.start()
    stopping.set()
    looking.join(5)
    assert not looking.is_alive()
