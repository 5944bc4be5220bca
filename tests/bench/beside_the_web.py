"""How long calls wait while somebody takes all calls as files, again and again, and others open pages.

Quiet and busy turns alternate, on one site. What a mere busy loop does that takes as much of the processor as the web
plane did is told beside it.
"""

import random
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import cycle
from pathlib import Path

from coovox_billing.opening import open_site
from coovox_billing.store.database import FILE_NAME
from tests.bench import calls
from tests.bench.calls import CALLERS, Measured
from tests.bench.options import Options
from tests.bench.servers import Server, free_port, running
from tests.bench.table import Row
from tests.cast import look_up
from tests.footprint import hour
from tests.footprint.box import Browser

EXPORTED_CALLS = 100_000
PAGES_PER_SECOND = 20
PAGES = ("/", "/call-log", "/statistics", "/extension", "/rate")
FILES = tuple(f"/call-log.{kind}?{hour.EVERY_CALL}" for kind in ("xlsx", "csv"))
MOST = 2.0
WARMING_SECONDS, LEAST_PART = 1.0, 0.8
QUIET, WEB, LOOP = "quiet", "web", "busy loop"
BURN = "import sys, time\nshare = float(sys.argv[1])\nwhile True:\n    until = time.perf_counter() + share / 100\n    while time.perf_counter() < until:\n        pass\n    time.sleep((1 - share) / 100)"
