"""Charts as SVG within the page: numbers come in, shapes go out. What a shape is worth stands in words beside it.

A chart is never alone: the table beside it has the same links and numbers, so that readers of screens skip the shapes.
"""

from collections.abc import Sequence
from dataclasses import dataclass

WIDTH, HEIGHT, HEADROOM = 700, 150, 10
MOST_LABELS = 7
HEATS = 5

_BAR_SHARE = 0.6


@dataclass(frozen=True, slots=True)
class Point:
    """A number of a row of them: `label` where it stands, `title` what it is worth, `href` where a click leads."""

    value: int
    label: str
    title: str
    href: str = ""


@dataclass(frozen=True, slots=True)
class Bar:
    """A bar in the chart's units, and the strip from bottom to top in which a click means it."""

    x: float
    y: float
    width: float
    height: float
    strip_x: float
    strip_width: float
    title: str
    href: str


@dataclass(frozen=True, slots=True)
class Chart:
    """Upright bars, and below them labels of equal width, each for as many bars."""

    bars: list[Bar]
    labels: list[str]
    width: int = WIDTH
    height: int = HEIGHT


@dataclass(frozen=True, slots=True)
class Area:
    """A path of steps from the ground up and back to it, the strips in which clicks mean a step, and labels."""

    path: str
    strips: list[Bar]
    labels: list[str]
    width: int = WIDTH
    height: int = HEIGHT


def upright(points: Sequence[Point]) -> Chart:
    """Bars beside each other, the highest as high as the chart; at least one point."""
    together = -(-len(points) // MOST_LABELS)
    labels = [point.label for point in points[::together]]
    step = WIDTH / (len(labels) * together)
    most = max(point.value for point in points) or 1
    return Chart([_bar(point, index * step, step, most) for index, point in enumerate(points)], labels)


def step_area(points: Sequence[Point], room: int, per_label: int) -> Area:
    """A step for each point, as wide as if there were `room` of them, and a label for each `per_label`."""
    step, most = WIDTH / room, max(point.value for point in points) or 1
    bars = [_bar(point, index * step, step, most) for index, point in enumerate(points)]
    tops = "".join(f"V{bar.y}H{round(bar.strip_x + bar.strip_width, 1)}" for bar in bars)
    labels = [point.label for point in points[::per_label]]
    return Area(f"M0,{HEIGHT}{tops}V{HEIGHT}Z", bars, labels + [""] * (room // per_label - len(labels)))


def _bar(point: Point, x: float, step: float, most: int) -> Bar:
    height = round(point.value / most * (HEIGHT - HEADROOM), 1)
    return Bar(
        x=round(x + (1 - _BAR_SHARE) / 2 * step, 1),
        y=round(HEIGHT - height, 1),
        width=round(_BAR_SHARE * step, 1),
        height=height,
        strip_x=round(x, 1),
        strip_width=round(step, 1),
        title=point.title,
        href=point.href,
    )


def percent(value: int, most: int) -> float:
    """How long the bar of a value is where that of the highest is 100."""
    return round(100 * value / most, 1) if most else 0.0


def heat(value: int, most: int) -> int:
    """How dark the field of a value is beside others: 0 for nothing, up to `HEATS` for the highest."""
    return -(-value * HEATS // most) if most else 0
