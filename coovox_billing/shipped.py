"""Where the files that are not Python lie: `web/`, `asterisk/`, `firmware_hooks/`.

In a checkout (and an editable install) they stand beside the package; in a
wheel they are inside it, under `shared/`.
"""

from pathlib import Path

from coovox_billing.errors import SetupError

_PACKAGE = Path(__file__).resolve().parent


def shipped(folder: str) -> Path:
    """The directory of a shipped top-level folder.

    Raises:
        SetupError: the installation lacks the folder.
    """
    for root in (_PACKAGE / "shared", _PACKAGE.parent):
        candidate = root / folder
        if candidate.is_dir():
            return candidate
    raise SetupError(
        "the folder %(folder)s/ is missing from this installation: install the package again", folder=folder
    )
