"""How this program begins another process of its own."""

import sys


def own_python() -> list[str]:
    """The interpreter with the options that this process has: who was kept from foreign modules stays so.

    A program of the system is isolated (-I): no module of the working directory or of a user is taken for one of ours.
    """
    options = {"-I": sys.flags.isolated, "-B": sys.flags.dont_write_bytecode}
    return [sys.executable, *(option for option, is_set in options.items() if is_set)]
