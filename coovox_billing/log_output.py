"""How the log looks and what it may cost: one line per record, safe to show, never waited for, repetitions counted.

What is said stands where it happens, what is said of calls in `pbx.call_lines`. Here it is decided which of it is
kept (setting `log_level`), and that neither a phone that redials for a week nor a peer that knocks every second
fills the flash.
"""

import logging
import os
import select
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from functools import lru_cache

LEVELS = {"quiet": logging.WARNING, "calls": logging.INFO, "detail": logging.DEBUG}
ROOT = "coovox_billing"
JOURNAL_VARIABLE = "JOURNAL_STREAM"
LONGEST_LINE = 1_000
WINDOW_SECONDS = 600.0
MOST_ALIKE = 10
MOST_ALIKE_OF_GOOD_NEWS = 100
MOST_KINDS = 500

# As systemd reads them at a line's beginning (sd-daemon(3)).
_PRIORITIES = {logging.CRITICAL: 2, logging.ERROR: 3, logging.WARNING: 4, logging.INFO: 6, logging.DEBUG: 7}


def begin(level: str, descriptor: int = 2) -> None:
    """Send what is logged to a file descriptor: `level` is a word of the setting `log_level`."""
    _spare_what_nobody_reads()
    handler = LineHandler(descriptor, LineFormatter(in_journal=_is_journal(descriptor)))
    handler.addFilter(Repetitions(handler.say))
    logging.basicConfig(level=max(LEVELS[level], logging.INFO), handlers=[handler], force=True)
    logging.getLogger(ROOT).setLevel(LEVELS[level])


def _spare_what_nobody_reads() -> None:
    """Where in the code a line was said, and by which thread: a third of what it costs (logging's own advice)."""
    logging._srcfile = None
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False


class LineFormatter(logging.Formatter):
    """A record as one line, with a traceback's lines after it.

    In the journal it begins with its priority, for the time is there already; else with the machine's own time and
    how far that is from UTC.
    """

    def __init__(self, in_journal: bool) -> None:
        super().__init__()
        self._in_journal = in_journal

    def format(self, record: logging.LogRecord) -> str:
        lines = [harmless(record.getMessage())]
        if record.exc_info:
            lines += [harmless(line) for line in self.formatException(record.exc_info).splitlines()]
        head = self._head(record)
        return "\n".join(head + line for line in lines) if self._in_journal else head + "\n  ".join(lines)

    def _head(self, record: logging.LogRecord) -> str:
        if self._in_journal:
            return f"<{_PRIORITIES.get(record.levelno, 6)}>"
        return f"{_local_time(int(record.created))} {record.levelname} "


@lru_cache(maxsize=1)
def _local_time(second: int) -> str:
    return datetime.fromtimestamp(second, UTC).astimezone().isoformat()


def harmless(text: str) -> str:
    """The text with everything escaped that does not print, and cut: who dials writes no lines, nor moves a cursor."""
    if len(text) > LONGEST_LINE:
        text = text[:LONGEST_LINE] + " ..."
    if text.isprintable():
        return text
    return "".join(sign if sign.isprintable() else _escaped(sign) for sign in text)


def _escaped(sign: str) -> str:
    return sign.encode("unicode_escape").decode("ascii")


class LineHandler(logging.Handler):
    """Writes what a descriptor takes at once: no call waits for who reads the log. What is lost is counted."""

    def __init__(self, descriptor: int, formatter: logging.Formatter) -> None:
        super().__init__()
        self.setFormatter(formatter)
        self._descriptor = descriptor
        self._poll = select.poll()
        self._poll.register(descriptor, select.POLLOUT)
        self._lost = 0

    def emit(self, record: logging.LogRecord) -> None:
        try:
            if self._lost and self._takes_more():
                lost, self._lost = self._lost, 0
                self.say(logging.WARNING, f"{lost} lines of this log were lost, for nobody took them in time")
            self._write(self.format(record))
        except Exception:
            self._lost += 1

    def say(self, level: int, text: str) -> None:
        """Write a line of the log's own."""
        self._write(self.format(logging.LogRecord(ROOT, level, "", 0, text, (), None)))

    def _write(self, text: str) -> None:
        data = text.encode("utf-8", "backslashreplace") + b"\n"
        # A pipe takes a line as a whole, or the writer would wait for its rest.
        for start in range(0, len(data), select.PIPE_BUF):
            if not self._takes_more():
                self._lost += 1
                return
            os.write(self._descriptor, data[start : start + select.PIPE_BUF])

    def _takes_more(self) -> bool:
        return any(event & select.POLLOUT for _, event in self._poll.poll(0))


class Repetitions(logging.Filter):
    """Lets the first few records of a kind through in ten minutes, counts the rest, and then says how many they were.

    A kind is what the record's own `alike` says (None: there is no other like it, it is always written), else its
    sentence without the values in it. Faults and what callers can repeat at will are held shorter than good news.
    """

    def __init__(self, say: Callable[[int, str], None], monotonic: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._say = say
        self._monotonic = monotonic
        self._kinds: dict[object, _Kind] = {}
        self._next_look = 0.0

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the record is to be written."""
        now = self._monotonic()
        if now >= self._next_look:
            self._forget(now)
        alike = getattr(record, "alike", record.msg)
        if alike is None:
            return True
        kind = self._kind(alike, now)
        kind.count += 1
        is_good_news = alike is record.msg and record.levelno < logging.WARNING
        if kind.count <= (MOST_ALIKE_OF_GOOD_NEWS if is_good_news else MOST_ALIKE):
            return True
        kind.swallowed, kind.level, kind.last = kind.swallowed + 1, record.levelno, record
        return False

    def _kind(self, name: object, now: float) -> "_Kind":
        if name not in self._kinds:
            if len(self._kinds) >= MOST_KINDS:
                self._tell(self._kinds.pop(next(iter(self._kinds))))
            self._kinds[name] = _Kind(now)
        return self._kinds[name]

    def _forget(self, now: float) -> None:
        self._next_look = now + WINDOW_SECONDS / 10
        for name in [name for name, kind in self._kinds.items() if now - kind.since >= WINDOW_SECONDS]:
            self._tell(self._kinds.pop(name))

    def _tell(self, kind: "_Kind") -> None:
        if kind.last is not None:
            times = "once" if kind.swallowed == 1 else f"{kind.swallowed} times"
            self._say(
                kind.level,
                f"as before, {times} more in {WINDOW_SECONDS / 60:.0f} min, at last: {kind.last.getMessage()}",
            )


class _Kind:
    """Records alike since a moment, and the last of those that were not written."""

    __slots__ = ("count", "last", "level", "since", "swallowed")

    def __init__(self, since: float) -> None:
        self.since = since
        self.count = self.swallowed = 0
        self.level = logging.INFO
        self.last: logging.LogRecord | None = None


def _is_journal(descriptor: int) -> bool:
    """Whether systemd's journal reads there, as it tells the programs it starts (systemd.exec(5))."""
    with suppress(OSError):
        found = os.fstat(descriptor)
        return os.environ.get(JOURNAL_VARIABLE, "") == f"{found.st_dev}:{found.st_ino}"
    return False
