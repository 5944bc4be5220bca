"""Each kind of machine at a temporary root."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.firmware.cast import MACHINES, Box, build_box


@pytest.fixture(params=list(MACHINES))
def board(request: pytest.FixtureRequest) -> str:
    """The id of each shipped board in turn."""
    return str(request.param)


@pytest.fixture
def box(tmp_path: Path, board: str) -> Box:
    """A machine of each shipped board in turn."""
    return build_box(tmp_path / "root", board)


@pytest.fixture
def u60(tmp_path: Path) -> Box:
    """A CooVox U60."""
    return build_box(tmp_path / "root", "u60")


@pytest.fixture
def pc(tmp_path: Path) -> Box:
    """A small PC with Debian."""
    return build_box(tmp_path / "root", "debian")
