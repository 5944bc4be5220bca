"""What Asterisk still knows of calls that a restore has lost is booked, once; what it does not know is lost."""

from __future__ import annotations

import asyncio
import io
from dataclasses import replace
from pathlib import Path

import pytest

from coovox_billing.backup import archive, restoring
from coovox_billing.pbx.cel_file import CEL_DIRECTORY, CEL_FILE
from coovox_billing.services.accounts import Person
from coovox_billing.store.database import open_database
from tests.cast import MANAGER, NOW_MS, Exchange, a_leg, a_record
from tests.licenses import a_device
from tests.pbx.fake_asterisk import stamp
from tests.pbx.switchboard import ABROAD, TRUNK, UNIQUEID, Box, reconcile_in_haste, tell


@pytest.fixture(autouse=True)
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    reconcile_in_haste(monkeypatch)


def _cel(logs: Path, *events: tuple[str, int, str, str]) -> None:
    lines = [
        f'"{name}","{stamp(at_ms)}","{TRUNK}","{uniqueid}","1772442000.1","{name if told else ""}",'
        + ('"{""extra"":""' + told + '""}"' if told else '""')
        for name, at_ms, uniqueid, told in events
    ]
    (logs / CEL_DIRECTORY).mkdir(exist_ok=True)
    (logs / CEL_DIRECTORY / CEL_FILE).write_text("".join(f"{line}\n" for line in lines))


def _restore(exchange: Exchange, directory: Path, data: bytes, number: int = 1, person: Person = MANAGER) -> None:
    exchange.database.close()
    restoring.restore(directory, io.BytesIO(data), a_device(number), person)
    exchange.database = open_database(directory)


def _backup(directory: Path) -> bytes:
    out = io.BytesIO()
    archive.write(directory, a_device(), NOW_MS, out)
    return out.getvalue()


def test_it_books_again_what_only_asterisk_knows_and_never_twice(exchange: Exchange, tmp_path: Path) -> None:
    """A call in progress at the backup, one that passed alone after it, and one that billing alone knew of."""
    exchange.ask("open", number=ABROAD, by_stretches=True)
    exchange.answer("open")
    data = _backup(tmp_path)
    exchange.settle("open", 121)
    exchange.settle("alone", 61, alone="passed", number=ABROAD)
    exchange.ask("forgotten", number=ABROAD)
    exchange.settle("forgotten", 61)
    before = exchange.money("100")
    assert before == ("3.0000", "0.0000")
    answered_ms = NOW_MS + 5_000
    record = a_record(a_leg(talked=61, alone="passed", number=ABROAD))
    _cel(
        tmp_path,
        ("CooVoxAnswered", answered_ms, UNIQUEID, f"open|{stamp(answered_ms)}"),
        ("HANGUP", answered_ms + 121_000, UNIQUEID, ""),
        ("CooVoxLeft", NOW_MS + 80_000, "1772442000.7", f"alone|{record}"),
    )
    _restore(exchange, tmp_path, data)
    assert exchange.money("100")[0] == "10.0000"

    async def story(box: Box) -> None:
        box.switchboard.channels.clear()
        await box.until(lambda: exchange.money("100") == ("5.0000", "0.0000"), 5)

    for _ in range(3):
        tell(exchange, story, logs=tmp_path)
    assert exchange.money("100") == ("5.0000", "0.0000"), "3.00 and 2.00; what nobody recorded is lost"
    assert (exchange.call("open")["settled_by"], exchange.call("alone")["settled_by"]) == ("cel", "cel")


def test_it_holds_no_money_for_a_call_that_nobody_knows_of(exchange: Exchange, tmp_path: Path) -> None:
    exchange.ask("open", number=ABROAD)
    data = _backup(tmp_path)
    exchange.settle("open", 61)
    _restore(exchange, tmp_path, data)
    assert exchange.money("100")[1] != "0.0000"

    async def story(box: Box) -> None:
        box.switchboard.channels.clear()
        await box.until(lambda: exchange.money("100") == ("10.0000", "0.0000"), 5)

    tell(exchange, story, logs=tmp_path)


def test_it_books_nothing_that_the_asterisk_of_another_device_has_recorded_before(
    exchange: Exchange, tmp_path: Path
) -> None:
    """The new device had a trial of its own, with an extension of the same number."""
    data = _backup(tmp_path)
    before, after = (
        a_record(a_leg(talked=61, alone="passed", number=ABROAD, asked_ms=NOW_MS + moment_ms))
        for moment_ms in (0, 3_600_000)
    )
    _cel(tmp_path, ("CooVoxLeft", NOW_MS + 80_000, "1772442000.7", f"theirs|{before}"))
    _restore(exchange, tmp_path, data, number=4, person=replace(MANAGER, now_ms=NOW_MS + 600_000))

    async def story(box: Box) -> None:
        await asyncio.sleep(0.5)

    tell(exchange, story, logs=tmp_path)
    assert exchange.money("100") == ("10.0000", "0.0000")
    _cel(tmp_path, ("CooVoxLeft", NOW_MS + 3_700_000, "1772442000.8", f"ours|{after}"))

    async def later(box: Box) -> None:
        await box.until(lambda: exchange.money("100") == ("8.0000", "0.0000"), 5)

    tell(exchange, later, logs=tmp_path)
