"""The shapes of charts: as high, as long and as dark as their numbers say."""

import pytest

from coovox_billing.web import charts
from coovox_billing.web.charts import Point


def points(*values: int) -> list[Point]:
    return [Point(value, f"at {index}", f"{value} calls", f"/{index}") for index, value in enumerate(values)]


def test_it_draws_bars_as_high_as_their_numbers() -> None:
    chart = charts.upright(points(0, 50, 100))
    assert [bar.height for bar in chart.bars] == [0, 70, 140]
    assert [bar.y + bar.height for bar in chart.bars] == [charts.HEIGHT] * 3
    assert [(bar.title, bar.href) for bar in chart.bars] == [("0 calls", "/0"), ("50 calls", "/1"), ("100 calls", "/2")]


def test_it_draws_nothing_but_zeros_flat() -> None:
    assert {bar.height for bar in charts.upright(points(0, 0)).bars} == {0}


@pytest.mark.parametrize("many", [1, 2, 7, 8, 31, 62])
def test_its_bars_stand_within_the_chart_each_in_its_strip_over_its_label(many: int) -> None:
    chart = charts.upright(points(*range(1, many + 1)))
    assert len(chart.labels) <= charts.MOST_LABELS
    label_width = chart.width / len(chart.labels)
    together = -(-many // charts.MOST_LABELS)
    for index, bar in enumerate(chart.bars):
        assert 0 <= bar.strip_x <= bar.x
        assert bar.x + bar.width <= bar.strip_x + bar.strip_width + 0.2 <= chart.width + 0.4
        assert int((bar.x + bar.width / 2) // label_width) == index // together
    assert chart.labels[0] == "at 0"


def test_it_measures_against_the_most() -> None:
    assert [charts.percent(value, 8) for value in (0, 1, 8)] == [0, 12.5, 100]
    assert charts.percent(0, 0) == 0


def test_it_darkens_with_the_number_and_leaves_nothing_white_but_nothing() -> None:
    values = [0, 1, 20, 50, 99, 100]
    assert [charts.heat(value, 100) for value in values] == [0, 1, 1, 3, 5, 5]
    assert charts.heat(0, 0) == 0


def test_it_draws_steps_without_gaps_as_high_as_their_numbers() -> None:
    chart = charts.step_area(points(1, 2, 0), room=4, per_label=2)
    assert chart.path == "M0,150V80.0H175.0V10.0H350.0V150.0H525.0V150Z"
    assert [(strip.strip_x, strip.strip_width) for strip in chart.strips] == [(0, 175), (175, 175), (350, 175)]
    assert chart.labels == ["at 0", "at 2"]


def test_it_leaves_room_for_what_is_still_to_come() -> None:
    assert charts.step_area(points(1), room=6, per_label=2).labels == ["at 0", "", ""]
