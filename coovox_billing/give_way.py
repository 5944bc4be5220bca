"""The pages give way to the calls, and to Asterisk: where processors are short, whoever looks at pages waits.

Beside files and pages a call waited up to three times as long as without, for want of a processor (`make bench`).
"""

import os
from contextlib import suppress
from pathlib import Path

NICENESS = 5

_AUTOGROUP = Path("/proc/self/autogroup")


def give_way() -> None:
    """From now on this thread goes last, and all that it begins.

    Where each session gets the same (sched(7), autogroups), the session goes last if it is this process's own. Under
    systemd the unit's CPUWeight says the same of its group.
    """
    with suppress(OSError):
        os.nice(NICENESS)
    if os.getsid(0) == os.getpid():
        with suppress(OSError):
            _AUTOGROUP.write_text(str(NICENESS))
