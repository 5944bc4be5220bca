"""The pages keep little of the memory that they needed for a moment."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
HASHES_IN_THREADS = """
import resource, sys, threading
from pathlib import Path
from coovox_billing.frugal_memory import give_back_freed
from coovox_billing.services import passwords

def resident_mb():
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 2**20

def serve(served):
    passwords.hashed("correct horse battery")
    served.set()
    threading.Event().wait()

if sys.argv[1] == "frugal":
    give_back_freed()
before = resident_mb()
for _ in range(4):
    served = threading.Event()
    threading.Thread(target=serve, args=[served], daemon=True).start()
    served.wait()
print(resident_mb() - before)
"""
HOLES = """
import resource
from pathlib import Path
from coovox_billing.frugal_memory import give_back_freed, give_back_holes

def resident_mb():
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 2**20

give_back_freed()
pieces = [bytearray(1_000) for _ in range(32 * 1024)]
kept = pieces[::100]
del pieces
before = resident_mb()
give_back_holes()
print(before - resident_mb())
"""


CIRCLES = """
import gc, resource
from pathlib import Path
from coovox_billing.frugal_memory import give_back_freed, give_back_holes

def resident_mb():
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 2**20

gc.disable()
give_back_freed()
page = {"rows": [bytearray(1_000) for _ in range(32 * 1024)]}
page["itself"] = page
del page
before = resident_mb()
give_back_holes()
print(before - resident_mb())
"""


def growth_mb(how: str) -> float:
    """By how much a process grows whose four threads each hashed a password, and live on."""
    command = [sys.executable, "-c", HASHES_IN_THREADS, how]
    return float(subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout)


def test_it_gives_back_what_each_sign_in_took() -> None:
    frugal, usual = growth_mb("frugal"), growth_mb("usual")
    assert frugal < 4, "a hash takes 16 MB while it is made, and none afterwards"
    assert usual > frugal + 16, "glibc gives it back by itself: coovox_billing.frugal_memory has become needless"


@pytest.mark.parametrize(
    "script",
    [
        pytest.param(HOLES, id="between pieces, of which every hundredth is needed"),
        pytest.param(CIRCLES, id="of what only refers to itself"),
    ],
)
def test_it_gives_back_what_is_free(script: str) -> None:
    freed = subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=True, capture_output=True, text=True)
    assert float(freed.stdout) > 16, "of 32 MB"


def test_it_loads_what_asks_asterisk_only_where_it_is_asked() -> None:
    script = "import sys, coovox_billing.web_plane; print({'asyncio', 'openpyxl', 'cryptography'} & set(sys.modules))"
    command = [sys.executable, "-c", script]
    found = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    assert found.stdout == "set()\n"
