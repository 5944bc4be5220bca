"""Every error that a person is meant to read.

The text of an error is the line the user sees, so it says what is wrong and
what to do. The command line prints it with exit status 1, a page shows it,
the FastAGI server logs it.
"""


class BillingError(Exception):
    """The root of all errors whose text is written for a person."""


class BadInput(BillingError):
    """What was given cannot be used; nothing was changed."""


class NotFound(BillingError):
    """The extension, rate or call that was named does not exist."""


class Refused(BillingError):
    """What was asked is well-formed but not allowed now; nothing was changed."""


class SetupError(BillingError):
    """The machine or the configuration does not allow the command to run."""
