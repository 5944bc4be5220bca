"""The pages go last where processors are short, but not the thread that writes; looked at in a process of its own."""

import json
import os
import subprocess
import sys
from pathlib import Path

from coovox_billing.give_way import NICENESS

GIVE_WAY = "from coovox_billing.give_way import give_way; give_way()"
AUTOGROUP = """
with open("/proc/self/autogroup") as autogroup:
    print(*autogroup.read().split()[1:])
"""
THREADS = """
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
"""


def said_by(program: str, is_session: bool = False) -> str:
    command = [sys.executable, "-c", program]
    return subprocess.run(command, capture_output=True, text=True, check=True, start_new_session=is_session).stdout


def autogroup(before: str = "", *, is_session: bool) -> str:
    """The session's niceness; nothing where it is in no autogroup, or where the kernel knows of none."""
    return said_by(f"{before}\n{AUTOGROUP}", is_session).strip() if Path("/proc/self/autogroup").exists() else ""


def test_what_begins_later_goes_last() -> None:
    assert json.loads(said_by(THREADS)) == [os.nice(0), min(os.nice(0) + NICENESS, 19)]


def test_its_own_session_goes_last_where_sessions_have_autogroups() -> None:
    assert autogroup(GIVE_WAY, is_session=True) == autogroup(is_session=True).replace("nice 0", f"nice {NICENESS}")


def test_a_session_of_others_stays_where_it_is() -> None:
    assert autogroup(GIVE_WAY, is_session=False) == autogroup(is_session=False)
