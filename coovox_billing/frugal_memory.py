"""How much freed memory a process with threads keeps for itself: as little as glibc can be told to.

By itself glibc learns from the first sign-in, whose hash takes 16 MB for a moment, to keep as much for the next, and
that for each thread that ever served one: a quarter of a small box. `make footprint` shows the difference.
"""

import ctypes
import gc

# Names and numbers of <malloc.h>.
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_ARENA_MAX = -1, -3, -8
LARGE_BYTES = 128 * 1024


def give_back_freed() -> None:
    """From now on large pieces go back to the system when they are freed, and all threads share what is left.

    To be called before there are other threads. A C library that knows nothing of it is left as it is.
    """
    tell = getattr(ctypes.CDLL(None), "mallopt", None)
    if tell is not None:
        for option, value in ((M_ARENA_MAX, 1), (M_MMAP_THRESHOLD, LARGE_BYTES), (M_TRIM_THRESHOLD, LARGE_BYTES)):
            tell(option, value)


def keep_what_is_loaded() -> None:
    """What is there once a process has started stays, so that to look for what may go takes next to no time."""
    gc.collect()
    gc.freeze()


def give_back_holes() -> None:
    """Give back now what is free between pieces that are still needed, which nothing else ever does.

    What a page was made of refers to itself, and would stay until as much again had come.
    """
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
