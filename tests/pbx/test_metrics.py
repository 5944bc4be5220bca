"""What Prometheus reads of the call plane: right figures, nobody's number, and no call waits for it."""

from __future__ import annotations

import asyncio
import re
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from coovox_billing import call_plane_metrics, config
from coovox_billing.core.call import Source
from coovox_billing.core.clock import UNKNOWN
from coovox_billing.errors import SetupError
from coovox_billing.pbx import call_lines, metrics_server
from coovox_billing.pbx.agi_handlers import AgiHandlers
from coovox_billing.pbx.metrics import AUTHORIZE_BOUNDS, PREFIX, Gauges, Metrics
from coovox_billing.pbx.metrics_server import MetricsServer
from coovox_billing.services import backups, calls, reconciliation, settlement
from coovox_billing.store.loop_database import LoopDatabase
from coovox_billing.wall_clock import wall_clock_ms
from tests.cast import CITY_NUMBER, NOW_MS, Exchange, a_leg, a_question, change_in

NOTHING = Gauges({}, 0, 0, 0, 0, 0, False, 0, 0)


def parsed(text: str) -> dict[str, float]:
    """Each sample by its name and labels, as Prometheus' own parser reads it."""
    found = {}
    for family in text_string_to_metric_families(text):
        assert family.documentation
        assert family.type in ("counter", "gauge", "histogram")
        for sample in family.samples:
            labels = ",".join(f"{name}={value}" for name, value in sorted(sample.labels.items()))
            found[f"{sample.name.removeprefix(PREFIX)}{{{labels}}}" if labels else sample.name.removeprefix(PREFIX)] = (
                sample.value
            )
    return found


class Office:
    """Calls whose changes are counted."""

    def __init__(self, exchange: Exchange) -> None:
        self.exchange = exchange
        self.metrics = Metrics()

    def note(self, call_id: str, job: Callable[..., Any]) -> None:
        call_lines.tell(call_id, change_in(self.exchange.database.write(job)))

    def ask(self, call_id: str, extension: str = "100", number: str = CITY_NUMBER) -> None:
        self.note(call_id, lambda c: calls.authorize(c, a_question(call_id, extension, number), NOW_MS))

    def settle(self, call_id: str, talked: int, source: Source = Source.SETTLE) -> None:
        leg = a_leg(talked=talked)
        self.note(call_id, lambda c: settlement.settle(c, call_id, leg, UNKNOWN, leg.ended_ms, source))

    def figures(self, gauges: Gauges | None = NOTHING) -> dict[str, float]:
        return parsed(self.metrics.text(gauges, True, 3, "1.0"))


@pytest.fixture
def office(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Office]:
    exchange = Exchange(tmp_path)
    office = Office(exchange)
    monkeypatch.setattr(call_lines, "listeners", [office.metrics.count_change])
    yield office
    exchange.database.close()


def test_it_counts_calls_by_verdict_and_what_became_of_them(office: Office) -> None:
    office.ask("1")
    office.ask("2", "102")
    office.ask("3", number="77")
    office.ask("4", "103")
    office.ask("5")
    office.ask("5")
    office.settle("1", 238)
    office.note("5", lambda c: calls.give_up(c, "5", a_leg()))
    figures = office.figures()
    assert {name: value for name, value in figures.items() if name.startswith("calls_asked")} == {
        "calls_asked_total{reason=,verdict=passed}": 2,
        "calls_asked_total{reason=locked,verdict=refused}": 1,
        "calls_asked_total{reason=no-rate,verdict=refused}": 1,
        "calls_asked_total{reason=not-billed,verdict=passed}": 1,
    }
    assert figures["calls_ended_total{told_by=settle}"] == 1
    assert (figures["calls_unanswered_total"], figures["calls_answered_total"]) == (1, 0)
    assert (figures["talk_seconds_total"], figures["charged_total"], figures["uncollected_total"]) == (238, 0.18, 0)
    assert (figures["ami_up"], figures["astdb_backlog"], figures["info{version=1.0}"]) == (1, 3, 1)


def test_it_counts_a_correction_once(office: Office) -> None:
    office.ask("1")
    office.note("1", lambda c: reconciliation.close(c, "1", None, 0, NOW_MS))
    office.settle("1", 238, Source.CEL)
    office.ask("2")
    office.note("2", lambda c: settlement.settle(c, "2", a_leg(talked=60), UNKNOWN, NOW_MS))
    figures = office.figures()
    assert figures["calls_corrected_total{told_by=cel}"] == 1
    assert figures["calls_ended_total{told_by=settle}"] == 1
    assert figures["talk_seconds_total"] == 298
    assert figures["charged_total"] == pytest.approx(0.28)


def test_it_counts_what_could_not_be_collected(office: Office) -> None:
    leg = a_leg(talked=1200, number="0044", alone="passed")
    office.note("1", lambda c: settlement.settle(c, "1", leg, UNKNOWN, leg.ended_ms, Source.ASTDB))
    figures = office.figures()
    assert (figures["charged_total"], figures["uncollected_total"]) == (10, 10)
    assert figures["calls_flagged_total{flag=uncollected}"] == figures["calls_flagged_total{flag=alone}"] == 1


def test_it_tells_how_long_questions_took(office: Office) -> None:
    for seconds in (0.0004, 0.004, 0.004, 9.0):
        office.metrics.count_authorized(seconds)
    figures = office.figures()
    buckets = [figures[f"authorize_seconds_bucket{{le={bound}}}"] for bound in (*AUTHORIZE_BOUNDS, "+Inf")]
    assert buckets == [1, 1, *[3] * 10, 4]
    assert (figures["authorize_seconds_count"], figures["authorize_seconds_sum"]) == (4, pytest.approx(9.0084))


def test_it_says_nobodys_number_and_extension(office: Office) -> None:
    office.ask("1")
    office.settle("1", 238)
    text = office.metrics.text(NOTHING, False, 0, "1.0")
    assert not re.search(r"988360046|PJSIP|carrier|\"100\"", text)


def test_it_leaves_out_what_nobody_could_look_up(office: Office) -> None:
    assert "held" not in office.figures(None)
    assert (office.figures(None)["database_up"], office.figures()["database_up"]) == (0, 1)


def test_it_looks_up_what_the_database_knows(office: Office) -> None:
    office.ask("1")
    path = office.exchange.database.path
    backups.keep_state(path.parent, backups.State(good_ms=wall_clock_ms()))
    figures = office.figures(call_plane_metrics.look_up(path))
    assert figures["live_calls{state=held}"] == 1
    assert figures["live_calls{state=talking}"] == 0
    assert figures["held"] == pytest.approx(5.32)
    assert figures["database_bytes"] > 4096
    assert figures["disk_free_bytes"] > 0
    assert abs(figures["last_backup_timestamp_seconds"] - time.time()) < 60


# Who asks


async def ask(port: int, request: bytes = b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n") -> tuple[str, str]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    try:
        said = (await asyncio.wait_for(reader.read(), 10)).decode()
    except ConnectionResetError:
        said = ""
    writer.close()
    head, _, body = said.partition("\r\n\r\n")
    return head.partition("\r\n")[0], body


async def serving(read: Callable[[], Gauges]) -> MetricsServer:
    server = MetricsServer(read, lambda gauges: f"coovox_billing_database_up {int(gauges is not None)}\n")
    await server.start("127.0.0.1", 0)
    return server


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"GET /metrics HTTP/1.1\r\n\r\n", "HTTP/1.1 200 OK"),
        (b"GET /metrics?x=1 HTTP/1.0\r\n\r\n", "HTTP/1.1 200 OK"),
        (b"HEAD /metrics HTTP/1.1\r\n\r\n", "HTTP/1.1 200 OK"),
        (b"GET / HTTP/1.1\r\n\r\n", "HTTP/1.1 404 Not Found"),
        (b"POST /metrics HTTP/1.1\r\n\r\n", "HTTP/1.1 405 Method Not Allowed"),
        (b"hello\r\n\r\n", "HTTP/1.1 405 Method Not Allowed"),
        (b"GET /metrics HTTP/1.1\r\n" + b"x" * 100_000, ""),
    ],
)
def test_it_answers_as_a_web_server_should(request_: bytes, status: str) -> None:
    async def run() -> None:
        server = await serving(lambda: NOTHING)
        said, body = await ask(server.port, request_)
        server.stop()
        assert said == status
        assert (body == "coovox_billing_database_up 1\n") == (status.endswith("OK") and request_[:1] == b"G")

    asyncio.run(run())


def test_it_hangs_up_on_who_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics_server, "REQUEST_SECONDS", 0.2)

    async def run() -> None:
        server = await serving(lambda: NOTHING)
        assert await ask(server.port, b"GET") == ("", "")
        server.stop()

    asyncio.run(run())


def test_it_looks_up_once_for_many_who_ask() -> None:
    looked = []

    async def run() -> None:
        server = await serving(lambda: looked.append(1) or NOTHING)  # type: ignore[func-returns-value]
        for _ in range(20):
            assert (await ask(server.port))[0].endswith("OK")
        server.stop()

    asyncio.run(run())
    assert len(looked) == 1


def test_it_serves_no_more_at_once_than_it_may() -> None:
    async def run() -> None:
        server = await serving(lambda: NOTHING)
        hanging = [
            await asyncio.open_connection("127.0.0.1", server.port) for _ in range(metrics_server.MOST_CONNECTIONS)
        ]
        await asyncio.sleep(0.1)
        assert await ask(server.port) == ("", "")
        for _, writer in hanging:
            writer.close()
        await asyncio.sleep(0.1)
        assert (await ask(server.port))[0].endswith("OK")
        server.stop()

    asyncio.run(run())


def test_it_lets_no_stranger_read(monkeypatch: pytest.MonkeyPatch) -> None:
    class Elsewhere:
        is_loopback = False

    async def run() -> None:
        server = await serving(lambda: NOTHING)
        monkeypatch.setattr(metrics_server, "ip_address", lambda _: Elsewhere)
        assert await ask(server.port) == ("", "")
        server._allowed = {"127.0.0.1"}
        assert (await ask(server.port))[0].endswith("OK")
        server.stop()

    asyncio.run(run())


def test_it_lets_no_call_wait_for_a_database_that_hangs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics_server, "READ_SECONDS", 1.0)
    exchange = Exchange(tmp_path)
    woken = threading.Event()

    def hang() -> Gauges:
        woken.wait(20)
        return NOTHING

    async def run() -> list[float]:
        database = LoopDatabase(exchange.database.path)
        server = await serving(hang)
        scrapes = [asyncio.create_task(ask(server.port)) for _ in range(5)]
        await asyncio.sleep(0.1)
        waits = []
        for number in range(20):
            began = time.monotonic()
            await database.submit(lambda c, n=number: calls.authorize(c, a_question(f"{n}"), NOW_MS))  # type: ignore[misc]
            waits.append(time.monotonic() - began)
        assert not any(scrape.done() for scrape in scrapes)
        assert {body for _, body in await asyncio.gather(*scrapes)} == {"coovox_billing_database_up 0\n"}
        woken.set()
        server.stop()
        await database.close()
        return waits

    waits = asyncio.run(run())
    exchange.database.close()
    assert max(waits) < 0.5


def test_it_counts_nothing_unless_it_is_told_to(tmp_path: Path) -> None:
    exchange = Exchange(tmp_path)

    async def run() -> None:
        database = LoopDatabase(exchange.database.path)
        handlers = AgiHandlers(database, lambda: NOW_MS)
        assert call_lines.listeners == []
        settings = config.load(str(tmp_path), {"COOVOX_CONFIG": "/dev/null", "COOVOX_METRICS_LISTEN": "127.0.0.1:1"})
        assert settings.metrics_listen is not None
        with pytest.raises(SetupError, match=r"cannot tell metrics on 192\.0\.2\.1:1"):
            elsewhere = config.Address("192.0.2.1", 1)
            await call_plane_metrics.begin(elsewhere, (), database.path, handlers, None)
        assert call_lines.listeners == []
        await database.close()

    asyncio.run(run())
    exchange.database.close()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"COOVOX_METRICS_LISTEN": "0.0.0.0:9173"}, "name who may ask in metrics_allow"),
        ({"COOVOX_METRICS_LISTEN": "here"}, "metrics_listen is 'here': write HOST:PORT"),
    ],
)
def test_it_refuses_settings_that_would_tell_everybody(settings: dict[str, str], message: str) -> None:
    with pytest.raises(SetupError, match=message):
        config.load("run", {"COOVOX_CONFIG": "/dev/null"} | settings)


def test_it_is_off_by_default() -> None:
    assert config.load("run", {"COOVOX_CONFIG": "/dev/null"}).metrics_listen is None
