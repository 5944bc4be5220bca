"""Every error that a person is meant to read.

The text of an error is the line the user sees, so it says what is wrong and
what to do. The command line prints it with exit status 1, a page shows it in
the reader's language, the FastAGI server logs it.
"""

from coovox_billing.sentences import Sentence


class BillingError(Exception):
    """The root of all errors whose text is written for a person: a sentence with its values, as `Sentence` has them."""

    def __init__(self, message: str, /, *, hint: str = "", **values: object) -> None:
        self.sentence = Sentence(message, hint=hint, **values)
        super().__init__(self.sentence)


class BadInput(BillingError):
    """What was given cannot be used; nothing was changed."""


class NotFound(BillingError):
    """The extension, rate or call that was named does not exist."""


class Refused(BillingError):
    """What was asked is well-formed but not allowed now; nothing was changed."""


class SetupError(BillingError):
    """The machine or the configuration does not allow the command to run."""
