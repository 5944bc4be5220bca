"""How the log looks: one safe line per record, priorities for the journal, repetitions counted, nobody waited for."""

from __future__ import annotations

import logging
import os
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest

from coovox_billing import config, log_output
from coovox_billing.errors import SetupError

log = logging.getLogger("coovox_billing.tests")


@dataclass
class Paper:
    """What was written through a pipe so far."""

    reading: int
    writing: int

    def read(self) -> str:
        os.set_blocking(self.reading, False)
        try:
            return os.read(self.reading, 1_000_000).decode()
        except BlockingIOError:
            return ""


@pytest.fixture
def paper() -> Iterator[Paper]:
    """A pipe that the log goes to; the test runner's own handlers come back afterwards."""
    root, ours = logging.getLogger(), logging.getLogger(log_output.ROOT)
    before = (list(root.handlers), root.level, ours.level)
    reading, writing = os.pipe()
    for handler in before[0]:
        root.removeHandler(handler)
    yield Paper(reading, writing)
    for handler in list(root.handlers):
        root.removeHandler(handler)
    for handler in before[0]:
        root.addHandler(handler)
    root.setLevel(before[1])
    ours.setLevel(before[2])
    for descriptor in (reading, writing):
        os.close(descriptor)


@contextmanager
def in_journal(paper: Paper, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    found = os.fstat(paper.writing)
    with monkeypatch.context() as patched:
        patched.setenv(log_output.JOURNAL_VARIABLE, f"{found.st_dev}:{found.st_ino}")
        yield


def test_it_begins_with_the_time_and_its_distance_from_utc(paper: Paper) -> None:
    log_output.begin("calls", paper.writing)
    log.info("call %s ended: %d s", "7", 60)
    line = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d\d:\d\d INFO call 7 ended: 60 s\n"
    assert re.fullmatch(line, paper.read())


def test_it_leaves_the_time_to_the_journal_and_gives_it_a_priority(
    paper: Paper, monkeypatch: pytest.MonkeyPatch
) -> None:
    with in_journal(paper, monkeypatch):
        log_output.begin("detail", paper.writing)
    for say in (log.debug, log.info, log.warning, log.error):
        say("it is so")
    assert paper.read() == "<7>it is so\n<6>it is so\n<4>it is so\n<3>it is so\n"


def test_it_gives_each_line_of_a_traceback_its_priority(paper: Paper, monkeypatch: pytest.MonkeyPatch) -> None:
    with in_journal(paper, monkeypatch):
        log_output.begin("calls", paper.writing)
    try:
        raise ValueError("\x1b[2Jgone")
    except ValueError:
        log.exception("it failed")
    lines = paper.read().splitlines()
    assert lines[0] == "<3>it failed"
    assert lines[-1] == r"<3>ValueError: \x1b[2Jgone"
    assert all(line.startswith("<3>") for line in lines)


@pytest.mark.parametrize(
    ("level", "heard"),
    [("quiet", ["fault"]), ("calls", ["call", "fault"]), ("detail", ["limit", "call", "fault"])],
)
def test_it_keeps_what_the_level_says(paper: Paper, level: str, heard: list[str]) -> None:
    log_output.begin(level, paper.writing)
    log.debug("limit")
    log.info("call")
    log.warning("fault")
    logging.getLogger("asyncio").debug("not ours")
    assert [line.split()[-1] for line in paper.read().splitlines()] == heard


@pytest.mark.parametrize("level", ["", "loud", "CALLS", "debug"])
def test_it_refuses_a_level_that_is_none(level: str) -> None:
    with pytest.raises(SetupError, match="write quiet, calls or detail"):
        config.load("run", {"COOVOX_CONFIG": "/dev/null", "COOVOX_LOG_LEVEL": level or " "})


@pytest.mark.parametrize(
    ("dialed", "shown"),
    [
        ("9\r\ncall 8 ended: cost 0", r"9\r\ncall 8 ended: cost 0"),
        ("\x1b]0;owned\x07", r"\x1b]0;owned\x07"),
        ("9\u202e1", r"9\u202e1"),
        ("9\u2028x", r"9\u2028x"),
        ("\x9b31m", r"\x9b31m"),
        ("\udcff", r"\udcff"),
        ("\u00fc \u4e2d", "\u00fc \u4e2d"),
        ("9" * 5000, "9" * (log_output.LONGEST_LINE - len("call 7 asked: ")) + " ..."),
    ],
)
def test_it_lets_nobody_write_lines_of_his_own(paper: Paper, dialed: str, shown: str) -> None:
    log_output.begin("calls", paper.writing)
    log.info("call 7 asked: %s", dialed)
    said = paper.read()
    assert said.endswith(f"call 7 asked: {shown}\n")
    assert said.count("\n") == 1


def test_it_waits_for_nobody_and_says_how_much_was_lost(paper: Paper) -> None:
    log_output.begin("calls", paper.writing)
    talking = threading.Thread(
        target=lambda: [log.info("call %s %s", number, "x" * 900, extra={"alike": None}) for number in range(300)],
        daemon=True,
    )
    talking.start()
    talking.join(10)
    assert not talking.is_alive()
    written = paper.read().count("\n")
    assert 0 < written < 300
    log.info("call 301")
    lost, last = paper.read().splitlines()
    assert f"WARNING {300 - written} lines of this log were lost" in lost
    assert last.endswith("call 301")


def test_it_does_without_a_reader(paper: Paper) -> None:
    log_output.begin("calls", paper.writing)
    reading = paper.reading
    os.close(reading)
    log.info("nobody hears this")
    paper.reading = os.open("/dev/null", os.O_RDONLY)


class Clock:
    """A monotonic clock that a test sets."""

    now = 0.0


@pytest.fixture
def counted() -> tuple[Callable[..., bool], list[str], Clock]:
    """Whether a record would be written, what is said of those that were not, and the clock."""
    clock, said = Clock(), []  # type: ignore[var-annotated]
    repetitions = log_output.Repetitions(lambda level, text: said.append(f"{level} {text}"), lambda: clock.now)

    def offer(message: str, *values: object, level: int = logging.WARNING, **extra: object) -> bool:
        record = logging.LogRecord("coovox_billing.x", level, "", 0, message, values, None)
        vars(record).update(extra)
        return repetitions.filter(record)

    return offer, said, clock


def test_it_counts_what_is_said_again_and_again(counted: tuple[Callable[..., bool], list[str], Clock]) -> None:
    offer, said, clock = counted
    assert [offer("%s may not ask", f"10.0.0.{n}") for n in range(60)].count(True) == log_output.MOST_ALIKE
    assert offer("something else")
    assert said == []
    clock.now = log_output.WINDOW_SECONDS
    assert offer("a third thing")
    assert said == ["30 as before, 50 times more in 10 min, at last: 10.0.0.59 may not ask"]
    assert offer("%s may not ask", "10.0.0.1")


def test_it_counts_a_redialing_telephone_and_not_a_busy_house(
    counted: tuple[Callable[..., bool], list[str], Clock],
) -> None:
    offer, _, _ = counted
    info = logging.INFO
    redialed = [offer("call %s", str(n), level=info, alike=("asked", "PJSIP/100", "9", "no-rate")) for n in range(60)]
    house = [offer("call %s", str(n), level=info, alike=("asked", f"PJSIP/{n}", "9", "")) for n in range(60)]
    charged = [offer("call %s", str(n), level=info, alike=None) for n in range(600)]
    assert (redialed.count(True), house.count(True), charged.count(True)) == (log_output.MOST_ALIKE, 60, 600)


def test_it_lets_more_good_news_through_than_faults(counted: tuple[Callable[..., bool], list[str], Clock]) -> None:
    offer, _, _ = counted
    good = [offer("signed in", level=logging.INFO) for _ in range(200)]
    assert good.count(True) == log_output.MOST_ALIKE_OF_GOOD_NEWS


def test_it_keeps_no_more_kinds_than_it_may(counted: tuple[Callable[..., bool], list[str], Clock]) -> None:
    offer, said, _ = counted
    for _ in range(log_output.MOST_ALIKE + 2):
        offer("call", level=logging.INFO, alike=("asked", "first"))
    for number in range(log_output.MOST_KINDS * 2):
        offer("call", level=logging.INFO, alike=("asked", str(number)))
    assert said == ["20 as before, 2 times more in 10 min, at last: call"]


def test_a_week_of_faults_is_small(paper: Paper) -> None:
    """A phone that redials each second and an AMI that flaps: what it costs in bytes."""
    log_output.begin("calls", paper.writing)
    (handler,) = logging.getLogger().handlers
    clock = Clock()
    assert isinstance(handler, log_output.LineHandler)
    handler.filters = [log_output.Repetitions(handler.say, lambda: clock.now)]
    written = 0
    for second in range(6 * 3600):
        clock.now = float(second)
        log.info("call %s asked: 100 dials 9", second, extra={"alike": ("asked", "PJSIP/100", "9")})
        log.warning("no connection to Asterisk's manager: %s", second)
        if second % 50 == 0:
            written += len(paper.read())
    assert written / 6 * 24 * 7 < 6_000_000
