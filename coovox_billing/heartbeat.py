"""A plane's sign of life to the parent that started it, over an inherited pipe.

A call plane that is silent for 5 s is replaced (DESIGN §2), because every hung
AGI socket holds a phone or a trunk; a plane whose parent is gone ends too.
"""

import os

VARIABLE = "COOVOX_HEARTBEAT_FD"
BEAT_SECONDS = 1.0
SILENCE_SECONDS = 5.0


def is_watched() -> bool:
    """Whether a parent listens."""
    return VARIABLE in os.environ


def beat() -> bool:
    """Tell the parent, if there is one; False when it is gone."""
    if not is_watched():
        return True
    try:
        os.write(int(os.environ[VARIABLE]), b".")
    except BlockingIOError:
        return True
    except OSError:
        return False
    return True
