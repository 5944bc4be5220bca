"""What tests of several folders begin with."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from coovox_billing.store.models import open_reading, reading
from tests.cast import Exchange

# How long an example takes is the machine's, which may be busy: no test is timed.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")


@pytest.fixture
def exchange(tmp_path: Path) -> Iterator[Exchange]:
    """A small office, whose books are sound in the end."""
    opened = Exchange(tmp_path)
    yield opened
    findings = opened.findings()
    opened.database.close()
    assert findings == []


@pytest.fixture
def open_lists(exchange: Exchange) -> Iterator[None]:
    """The lists of that office can be asked."""
    open_reading(exchange.database.path.parent)
    yield
    reading.close()
