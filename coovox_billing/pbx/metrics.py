"""How the call plane fares, for Prometheus: counted while calls go on, the rest looked up when somebody asks.

No label holds an extension, a device or a number: who called whom is nobody's business here, and a label per
telephone would make a series of each. The format is Prometheus' text exposition format 0.0.4, written here because
the client library brings 4 MB of web server and TLS into a plane that has neither (docs/metrics.md).
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from coovox_billing.core.call import CORRECTED, State
from coovox_billing.store.call_changes import CallFacts

MICROS = 1_000_000
PREFIX = "coovox_billing_"
# From what nobody notices to what the dialplan does not wait for.
AUTHORIZE_BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 2.5)

Labels = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Gauges:
    """What is looked up when somebody asks; money in micros, instants in ms since 1970, UTC, 0 where there is none."""

    live_calls: Mapping[str, int]
    held_micros: int
    lost_calls: int
    database_bytes: int
    wal_bytes: int
    disk_free_bytes: int
    is_clock_wrong: bool
    trial_over_ms: int
    last_backup_ms: int


@dataclass
class Metrics:
    """What was counted since the call plane started. Belongs to its event loop."""

    _counts: Counter[tuple[str, Labels]] = field(default_factory=Counter)
    _waits: Counter[float] = field(default_factory=Counter)
    _waited_seconds: float = 0.0

    def count_change(self, before: CallFacts | None, after: CallFacts) -> None:
        """A call's row went from one state to another."""
        was = None if before is None else before.state
        if after.state in (State.HELD, State.REFUSED) and was not in (State.HELD, State.TALKING):
            verdict = "refused" if after.state == State.REFUSED else "passed"
            self._add("calls_asked", verdict=verdict, reason=after.reason)
        elif after.state == State.TALKING and was != State.TALKING:
            self._add("calls_answered")
        elif after.state == State.RELEASED:
            self._add("calls_unanswered")
        elif after.state == State.SETTLED:
            self._count_end(before, after)

    def _count_end(self, before: CallFacts | None, after: CallFacts) -> None:
        """What a correction moves back is taken by nobody here: a counter only grows."""
        known = before if before is not None and before.state == State.SETTLED else None
        self._add("calls_corrected" if CORRECTED in after.flags.split() else "calls_ended", told_by=after.settled_by)
        for flag in set(after.flags.split()) - set(before.flags.split() if before else ()):
            self._add("calls_flagged", flag=flag)
        for name, now, earlier in (
            ("talk_seconds", after.talk_seconds, known.talk_seconds if known else 0),
            ("charged_micros", after.cost_micros - after.uncollected_micros, _charged_micros(known)),
            ("uncollected_micros", after.uncollected_micros, known.uncollected_micros if known else 0),
        ):
            self._counts[name, ()] += max(0, now - earlier)

    def count_authorized(self, seconds: float) -> None:
        """A question was answered, so long after it came."""
        self._waits[next((bound for bound in AUTHORIZE_BOUNDS if seconds <= bound), float("inf"))] += 1
        self._waited_seconds += seconds

    def _add(self, name: str, **labels: str) -> None:
        self._counts[name, tuple(labels.items())] += 1

    def text(self, gauges: Gauges | None, ami_is_up: bool, astdb_backlog: int, version: str) -> str:
        """Everything, as Prometheus reads it; without `gauges` what the database knows is left out."""
        return "".join(
            (
                *_family("info", "gauge", "Which version answers.", [((("version", version),), 1)]),
                *self._counter("calls_asked", "Calls that Asterisk asked about, by verdict and its reason."),
                *self._counter("calls_answered", "Calls that somebody answered."),
                *self._counter("calls_unanswered", "Attempts that nobody answered."),
                *self._counter("calls_ended", "Calls that were settled, by who told of their end; rule: nobody."),
                *self._counter("calls_corrected", "Calls closed by rule whose true end turned up later."),
                *self._counter("calls_flagged", "Calls that were flagged, by flag."),
                *self._counter("talk_seconds", "Talk of settled calls."),
                *self._counter("charged", "What was charged for calls, in the site's currency.", MICROS),
                *self._counter("uncollected", "What calls cost beyond what there was.", MICROS),
                *self._histogram(),
                *_one("ami_up", "Whether the call plane is signed in to Asterisk's manager.", int(ami_is_up)),
                *_one("astdb_backlog", "What the dialplan left in AstDB and is not booked yet.", astdb_backlog),
                *(_gauges(gauges) if gauges else ()),
                *_one("database_up", "Whether the database could be read for this answer.", int(gauges is not None)),
            )
        )

    def _counter(self, name: str, help_text: str, per_unit: int = 0) -> Iterator[str]:
        stored = f"{name}_micros" if per_unit else name
        samples = [(labels, _exact(n, per_unit)) for (of, labels), n in sorted(self._counts.items()) if of == stored]
        yield from _family(f"{name}_total", "counter", help_text, samples or ([] if _LABELED.get(name) else [((), 0)]))

    def _histogram(self) -> Iterator[str]:
        name = f"{PREFIX}authorize_seconds"
        yield f"# HELP {name} How long Asterisk's question before a call took to be answered.\n"
        yield f"# TYPE {name} histogram\n"
        so_far = 0
        for bound in (*AUTHORIZE_BOUNDS, float("inf")):
            so_far += self._waits[bound]
            yield f'{name}_bucket{{le="{"+Inf" if bound == float("inf") else bound}"}} {so_far}\n'
        yield f"{name}_sum {self._waited_seconds:.6f}\n{name}_count {so_far}\n"


_LABELED = {"calls_asked": True, "calls_ended": True, "calls_corrected": True, "calls_flagged": True}


def _gauges(gauges: Gauges) -> Iterator[str]:
    states = [((("state", str(state)),), gauges.live_calls.get(state, 0)) for state in (State.HELD, State.TALKING)]
    yield from _family("live_calls", "gauge", "Calls in progress; held: nobody has answered yet.", states)
    yield from _one("held", "Money that live calls hold, in the site's currency.", _exact(gauges.held_micros, MICROS))
    yield from _one("lost_calls", "Calls of the last 7 days closed by rule and not corrected.", gauges.lost_calls)
    yield from _one("database_bytes", "Size of the database.", gauges.database_bytes)
    yield from _one("wal_bytes", "Size of its write-ahead log.", gauges.wal_bytes)
    yield from _one("disk_free_bytes", "Room that is left on its disk.", gauges.disk_free_bytes)
    yield from _one("clock_wrong", "Whether the clock is behind the newest record.", int(gauges.is_clock_wrong))
    yield from _one(
        "trial_over_timestamp_seconds",
        "When the trial is over, licensed or not; 0: never begun.",
        gauges.trial_over_ms // 1000,
    )
    yield from _one(
        "last_backup_timestamp_seconds", "When the newest backup was made; 0: none.", gauges.last_backup_ms // 1000
    )


def _one(name: str, help_text: str, value: object) -> Iterator[str]:
    return _family(name, "gauge", help_text, [((), value)])


def _family(name: str, kind: str, help_text: str, samples: Sequence[tuple[Labels, object]]) -> Iterator[str]:
    yield f"# HELP {PREFIX}{name} {help_text}\n# TYPE {PREFIX}{name} {kind}\n"
    for labels, value in samples:
        shown = ",".join(f'{label}="{_escaped(text)}"' for label, text in labels)
        yield f"{PREFIX}{name}{{{shown}}} {value}\n" if shown else f"{PREFIX}{name} {value}\n"


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")


def _exact(count: int, per_unit: int) -> object:
    """Micros as a decimal number, written and not calculated."""
    return f"{count // per_unit}.{count % per_unit:06d}" if per_unit else count


def _charged_micros(call: CallFacts | None) -> int:
    return 0 if call is None else call.cost_micros - call.uncollected_micros
