"""Bringing back the backup that lies beside the data directory."""

from pathlib import Path

from coovox_billing.backup import restoring
from tests.cast import MANAGER
from tests.licenses import a_device


def bring_back(data: Path) -> None:
    """What `restore` does."""
    with (data.parents[3] / "backup").open("rb") as source:
        restoring.restore(data, source, a_device(), MANAGER)
