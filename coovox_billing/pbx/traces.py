"""What Asterisk's own records tell of a call whose end nobody told: the question, the answer, how the files are read.

The files are Asterisk's: missing, unreadable, cut off or garbled at any byte, and as long as the disk allows.
"""

import contextlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from coovox_billing.core.evidence import Sought, Trace

__all__ = ["Sought", "Trace", "device_of", "lines_of", "open_regular", "recent_lines"]

_LONGEST_LINE_BYTES = 16_384


def device_of(channel: str) -> str:
    """`PJSIP/carrier` of `PJSIP/carrier-0000002a`."""
    return channel.rpartition("-")[0]


def recent_lines(path: Path, newest_bytes: int) -> Iterator[bytes]:
    """The whole lines in the last `newest_bytes` of a file, without their ends; none where it cannot be read."""
    with contextlib.suppress(OSError), contextlib.ExitStack() as stack:
        file = open_regular(path)
        if file is not None:
            yield from lines_of(stack.enter_context(file), newest_bytes)


def open_regular(path: Path) -> BinaryIO | None:
    """A file to read, None where there is none, or something that is no file and could keep us waiting."""
    try:
        file = os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb")
    except OSError:
        return None
    if stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        return file
    file.close()
    return None


def lines_of(file: BinaryIO, newest_bytes: int) -> Iterator[bytes]:
    """The whole lines in the last `newest_bytes` of an open file, without their ends; too long ones are left out."""
    start = max(0, os.fstat(file.fileno()).st_size - newest_bytes)
    file.seek(max(0, start - 1))
    is_begun = start == 0
    read_bytes = 0
    # The bound ends the reading also where lines are written faster than they are read.
    while read_bytes <= newest_bytes and (part := file.readline(_LONGEST_LINE_BYTES)):
        read_bytes += len(part)
        is_ended = part.endswith(b"\n")
        if is_begun and is_ended:
            yield part.rstrip(b"\r\n")
        is_begun = is_ended
