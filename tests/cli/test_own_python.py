"""A process of this program's own begins as isolated as this one is."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("options", [[], ["-I"], ["-I", "-B"]])
def test_it_hands_its_options_on(options: list[str]) -> None:
    script = (
        f"import sys; sys.path.insert(0, {str(ROOT)!r});"
        "from coovox_billing.own_python import own_python; print(own_python())"
    )
    environment = {"PATH": "/usr/bin:/bin"}
    done = subprocess.run(
        [sys.executable, *options, "-c", script], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout == f"{[sys.executable, *options]}\n"
