"""How thoroughly `make bench` measures."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Options:
    """`rounds` turns of each server, `count` sessions in each; the largest site has `past_calls` and `rates`."""

    rounds: int
    count: int
    past_calls: int
    rates: int
