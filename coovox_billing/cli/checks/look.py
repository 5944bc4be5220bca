"""What every check gets, and how a check says what it found."""

import pwd
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from coovox_billing.cli.context import Context
from coovox_billing.config import Config
from coovox_billing.services.condition import Condition

# No check waits longer for somebody else, so that doctor is quick where Asterisk or a plane hangs.
PATIENCE_SECONDS = 2.0


@dataclass(frozen=True)
class Look:
    """One run of `doctor`: the site, the moment (ms since 1970, UTC), and where Asterisk's configuration is."""

    context: Context
    now_ms: int
    etc: Path

    @property
    def config(self) -> Config:
        """The file settings."""
        return self.context.config


Check = Callable[[Look], list[Condition]]


def note(name: str, finding: str, what_to_do: str) -> Condition:
    """What may be meant so, and a person should know."""
    return Condition(name, finding, what_to_do, is_note=True)


def user_name(uid: int) -> str:
    """A user's name, or the number of one who has none."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
