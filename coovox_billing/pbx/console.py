"""Asking the Asterisk of this machine, as its console does."""

import os
import shutil
import subprocess
from collections.abc import Callable

from coovox_billing.errors import SetupError

AsteriskCli = Callable[[str], str]

CEL_RELOADS = ("module reload cel", "module reload cel_custom.so")
RELOADS = ("dialplan reload", "manager reload", *CEL_RELOADS)
PATIENCE_SECONDS = 10.0


def find_asterisk_cli(patience_seconds: float | None = None) -> AsteriskCli | None:
    """How to ask the Asterisk of this machine, None where it is not installed.

    What is returned raises SetupError where Asterisk does not run, does not answer in time, or not to this user.
    """
    # Where Debian puts it, which is not on the path of an ordinary user.
    binary = shutil.which("asterisk", path=f"{os.environ.get('PATH', '')}:/usr/local/sbin:/usr/sbin")
    if binary is None:
        return None
    patience = PATIENCE_SECONDS if patience_seconds is None else patience_seconds
    return lambda command: _ask(binary, command, patience)


def reload(asterisk: AsteriskCli) -> None:
    """Let the running Asterisk read its dialplan, its AMI users and what it records of calls again.

    Raises:
        SetupError: Asterisk cannot be asked.
    """
    for command in RELOADS:
        said = asterisk(command)
    if "not properly initialized" in said:
        # Asterisk 22 gives the module up at its start when it finds nothing to record.
        asterisk("module load cel_custom.so")


def _ask(binary: str, command: str, patience_seconds: float) -> str:
    try:
        done = subprocess.run(
            [binary, "-rx", command],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=patience_seconds,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise SetupError(
            "Asterisk did not answer in %(seconds)s s: look at its log", seconds=format(patience_seconds, "g")
        ) from None
    except OSError as error:
        raise SetupError(
            "%(binary)s cannot be run (%(reason)s): repair the installation", binary=binary, reason=error.strerror
        ) from None
    output = (done.stdout + done.stderr).decode("utf-8", "replace")
    if "Unable to connect" in output:
        raise SetupError("Asterisk does not run, or not for this user: start it, or use sudo")
    return output
