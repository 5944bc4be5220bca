"""The library of the bad disk, and the databases that offices begin with."""

from pathlib import Path

import pytest

from tests.chaos.office import seed
from tests.chaos.planes import build_bad_disk


@pytest.fixture(scope="session")
def bad_disk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_bad_disk(tmp_path_factory.mktemp("bad-disk"))


@pytest.fixture(scope="session")
def seeds(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """By what happens when billing is down. No grace, so that limits are what is paid for."""
    return {
        policy: seed(tmp_path_factory.mktemp(policy), when_billing_is_down=policy, grace_seconds="0")
        for policy in ("refuse", "allow")
    }
