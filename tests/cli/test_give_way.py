"""The pages go last where processors are short, but not the thread that writes; looked at in a process of its own."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from coovox_billing.give_way import NICENESS

AUTOGROUP = Path("/proc/self/autogroup")
PROGRAM = f"""
import json, os, threading
from coovox_billing.give_way import give_way

over = threading.Event()
writer = threading.Thread(target=over.wait)
writer.start()
give_way()
worker = threading.Thread(target=over.wait)
worker.start()
print(json.dumps([os.getpriority(os.PRIO_PROCESS, thread.native_id) for thread in (writer, worker)]))
over.set()
try:
    print(open("{AUTOGROUP}").read().split()[-1])
except OSError:
    pass
"""


def told(is_session: bool) -> list[str]:
    command = [sys.executable, "-c", PROGRAM]
    said = subprocess.run(command, capture_output=True, text=True, check=True, start_new_session=is_session)
    return said.stdout.splitlines()


def test_what_begins_later_goes_last() -> None:
    before, after = json.loads(told(is_session=False)[0])
    assert after == min(before + NICENESS, 19)


@pytest.mark.skipif(not AUTOGROUP.exists(), reason="this kernel knows no autogroups")
def test_its_own_session_goes_last_and_no_other() -> None:
    others = AUTOGROUP.read_text().split()[-1]
    assert [told(is_session=session)[1] for session in (True, False)] == [str(NICENESS), others]
