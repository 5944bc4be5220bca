"""AstDB over the manager: a change is there at once, and what the dialplan left is booked without a further call."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass

import pytest

from coovox_billing.core.call import Source
from coovox_billing.core.leg import Leg
from coovox_billing.pbx import astdb_keeper
from coovox_billing.pbx import dialplan_variables as dialplan
from coovox_billing.pbx.agi_handlers import AgiHandlers
from coovox_billing.pbx.ami import Ami
from coovox_billing.pbx.astdb import AstDb
from coovox_billing.pbx.astdb_keeper import AstDbKeeper
from coovox_billing.pbx.leftovers import Remains
from coovox_billing.store.loop_database import LoopDatabase
from tests.cast import NOW_MS, Exchange, a_leg, a_record, look_up
from tests.pbx.fake_ami import Action, FakeAmi, FakeAstDb


@dataclass
class Box:
    exchange: Exchange
    fake: FakeAmi
    rows: dict[str, str]

    async def until(self, condition: Callable[[], object]) -> None:
        async with asyncio.timeout(5):
            while not condition():
                await asyncio.sleep(0.01)


@pytest.fixture(autouse=True)
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(astdb_keeper, "TICK_SECONDS", 0.02)
    monkeypatch.setattr("coovox_billing.pbx.ami.FIRST_RETRY_SECONDS", 0.02)
    monkeypatch.setattr("coovox_billing.pbx.ami.HEALTHY_SECONDS", 0)


def tell(exchange: Exchange, story: Callable[[Box], Awaitable[None]], **rows: str) -> None:
    """Tell a story to a keeper that is signed in; AstDB holds `rows` at first."""

    async def told() -> None:
        astdb = FakeAstDb({key.replace("__", "/"): value for key, value in rows.items()})
        async with FakeAmi() as fake:
            astdb.serve(fake)
            database = LoopDatabase(exchange.database.path)
            ami = Ami(fake.address, lambda event: None)
            keeper = AstDbKeeper(ami, database, AgiHandlers(database, lambda: NOW_MS).collector)
            tasks = [asyncio.create_task(ami.run()), asyncio.create_task(keeper.run())]
            try:
                await story(Box(exchange, fake, astdb.rows))
            finally:
                for task in tasks:
                    task.cancel()
                    with suppress(asyncio.CancelledError):
                        await task
                await database.close()

    asyncio.run(told())


def test_it_fills_an_asterisk_that_was_never_told(exchange: Exchange) -> None:
    async def story(box: Box) -> None:
        await box.until(lambda: box.rows.get("complete") == "1")
        assert (box.rows["payer/100"], box.rows["payer/102"], box.rows["payer/103"]) == ("billed", "locked", "free")
        assert (box.rows["emergency/112"], box.rows["policy"]) == ("1", "refuse")

    tell(exchange, story)


def test_it_forgets_what_another_database_said(exchange: Exchange) -> None:
    async def story(box: Box) -> None:
        await box.until(lambda: box.rows.get("complete") == "1")
        assert "payer/999" not in box.rows
        assert "inactive" not in box.rows

    tell(exchange, story, mirror="another:7", payer__999="billed", inactive="1")


def test_it_tells_of_a_change_without_a_call(exchange: Exchange) -> None:
    async def story(box: Box) -> None:
        await box.until(lambda: box.rows.get("complete") == "1")
        exchange.change("100", status="locked")
        await box.until(lambda: box.rows["payer/100"] == "locked")
        exchange.switch(False)
        await box.until(lambda: box.rows.get("inactive") == "1")
        exchange.switch(True)
        await box.until(lambda: "inactive" not in box.rows)

    tell(exchange, story)


def test_it_tells_it_all_again_over_a_new_connection(exchange: Exchange) -> None:
    async def story(box: Box) -> None:
        await box.until(lambda: box.rows.get("complete") == "1")
        box.rows.clear()
        await box.fake.drop()
        await box.until(lambda: box.rows.get("payer/100") == "billed")

    tell(exchange, story)


def test_it_books_what_was_left_without_a_call(exchange: Exchange) -> None:
    async def story(box: Box) -> None:
        await box.until(lambda: "left/7.1772442000.2" not in box.rows)
        await box.until(lambda: "leftovers" not in box.rows)
        call = exchange.call("7")
        assert (call["state"], call["settled_late"], call["cost_micros"]) == ("settled", 1, 140_000)

    left = a_record(a_leg(talked=116, alone="passed"))
    tell(exchange, story, **{"left__7.1772442000.2": left, "leftovers": "1"})


def test_it_puts_nonsense_aside(exchange: Exchange) -> None:
    async def story(box: Box) -> None:
        await box.until(lambda: box.rows.get("strange/7.1") == "nonsense")
        await box.until(lambda: "leftovers" not in box.rows)

    tell(exchange, story, **{"left__7.1": "nonsense", "leftovers": "1"})


def test_it_goes_on_at_once_where_much_was_left(exchange: Exchange, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(astdb_keeper, "MOST_OVER_THE_MANAGER", 50)

    async def story(box: Box) -> None:
        for number in range(2 * 50 + 1):
            box.rows[f"{dialplan.LEFT}/1{number:03}.1"] = a_record(a_leg(alone="refused"))
        box.rows[dialplan.LEFTOVERS] = "1"
        await box.until(lambda: not any(key.startswith(dialplan.LEFT + "/") for key in box.rows))
        assert len(look_up(exchange.database.path, "SELECT 1 FROM calls")) == 2 * 50 + 1

    tell(exchange, story)


def test_it_books_what_is_left_while_the_flag_is_lowered(exchange: Exchange) -> None:
    """The call of whoever left it asked before the flag was up again: nobody else will tell."""

    async def story(box: Box) -> None:
        await box.until(lambda: box.rows.get("complete") == "1")
        lower = box.fake.answers["DBDel"]

        def leave(action: Action) -> str:
            if action.get("Key") == dialplan.LEFTOVERS:
                box.rows.setdefault("left/8.1772442000.2", a_record(a_leg(talked=116, alone="passed")))
                box.fake.answers["DBDel"] = lower
            return lower(action)

        box.fake.answers["DBDel"] = leave
        box.rows |= {"left/7.1772442000.2": a_record(a_leg(alone="refused")), dialplan.LEFTOVERS: "1"}
        await box.fake.drop()
        await box.until(lambda: "left/8.1772442000.2" not in box.rows and dialplan.LEFTOVERS not in box.rows)
        assert exchange.call("8")["cost_micros"] == 140_000

    tell(exchange, story)


def test_it_soon_tries_again_what_a_busy_database_did_not_take(
    exchange: Exchange, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(astdb_keeper.LOOK_AGAIN_SECONDS, Remains.STUCK, 0.1)
    book, refusals = AgiHandlers.book, iter([TimeoutError("the database is too slow")])

    async def book_late(handlers: AgiHandlers, call_id: str, leg: Leg, source: Source = Source.ASTDB) -> None:
        for refusal in refusals:
            raise refusal
        await book(handlers, call_id, leg, source)

    monkeypatch.setattr(AgiHandlers, "book", book_late)

    async def story(box: Box) -> None:
        await box.until(lambda: "left/7.1772442000.2" not in box.rows and dialplan.LEFTOVERS not in box.rows)
        assert exchange.call("7")["cost_micros"] == 140_000

    tell(exchange, story, **{"left__7.1772442000.2": a_record(a_leg(talked=116, alone="passed")), "leftovers": "1"})


def test_it_books_for_one_at_a_time(exchange: Exchange) -> None:
    """Where every call that ends found the same records, a box would do nothing else after an outage."""
    asked: list[str] = []

    class HangingAstDb(AstDb):
        at_once = 1

        async def keys(self, tree: str) -> list[str]:
            asked.append(tree)
            await asyncio.sleep(60)
            return []

    async def story() -> None:
        database = LoopDatabase(exchange.database.path)
        collector = AgiHandlers(database, lambda: NOW_MS).collector
        first = asyncio.create_task(collector.collect(HangingAstDb(), 1))
        await asyncio.sleep(0)
        assert await collector.collect(HangingAstDb(), 1) is Remains.MORE, "somebody is at it, so there may be more"
        assert (asked, collector.has_collected) == (["left"], False)
        first.cancel()
        await asyncio.wait([first])
        second = asyncio.create_task(collector.collect(HangingAstDb(), 1))
        await asyncio.sleep(0)
        assert asked == ["left", "left"], "who was cut off keeps nobody away"
        second.cancel()
        await asyncio.wait([second])
        await database.close()

    asyncio.run(story())
