"""Decides which Asterisk the tests run on: 22, or what ASTERISK_VERSIONS lists (`16 22`)."""

from __future__ import annotations

import os

import pytest

from tests.asterisk import fetch

VERSIONS = [int(version) for version in os.environ.get("ASTERISK_VERSIONS", "22").split()]


@pytest.fixture(scope="session", params=VERSIONS, ids=lambda version: f"asterisk{version}")
def asterisk_version(request: pytest.FixtureRequest) -> int:
    """A version whose launcher is there; without it the tests fail, they are never skipped."""
    try:
        fetch.launcher(request.param)
    except fetch.FetchError as error:
        pytest.fail(str(error), pytrace=False)
    return int(request.param)
