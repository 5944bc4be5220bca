"""The options and destinations of Asterisk's `Dial`, read as Asterisk reads them.

Decides which of them would let a call talk before billing has stamped its
answer, or after its stamp is gone. Which routes hold such is for `pbx check`
to find.
"""

import re

from coovox_billing.errors import BadInput

BYPASSING = {
    "G": "both sides go on in the dialplan instead of being joined, before billing has seen the answer",
    "M": "the macro holds the answered call before billing has seen the answer (gone since Asterisk 21)",
    "A": "the announcement plays to the answered call before billing has seen the answer",
    "p": "the screening talks to the answered call before billing has seen the answer",
    "P": "the privacy questions talk to the answered call before billing has seen the answer",
}
_IDLE_WITHOUT_ARGUMENT = frozenset("GMA")
# Dial takes one backslash away before it reads its options: what one of these leaves can hide a parenthesis.
_HIDING = re.compile(r'\\["\\()]')


def dial_option_letters(options: str) -> list[tuple[str, str | None]]:
    """Each option letter in order, with what its parentheses hold, or None where it has none.

    Parentheses nest. Quotes hide none of them, because Dial takes quotes away before it reads its options.
    Blanks between letters mean nothing.

    Raises:
        BadInput: a sign that is no letter, a parenthesis that is never closed, or a backslash that could
            hide one.
    """
    if _HIDING.search(options):
        raise BadInput(
            "the Dial options %(options)s hide a sign behind a backslash: write them without", options=repr(options)
        )
    letters: list[tuple[str, str | None]] = []
    at = 0
    while at < len(options):
        letter = options[at]
        at += 1
        if letter in " \t":
            continue
        # Asterisk takes seven bits of every byte, so that a foreign letter would set an option nobody wrote.
        if not (letter.isascii() and letter.isalpha()):
            raise BadInput(
                "the Dial options %(options)s hold %(letter)s instead of a letter: take it out",
                options=repr(options),
                letter=repr(letter),
            )
        argument = None
        if options[at : at + 1] == "(":
            end = _closing(options, at, letter)
            argument = options[at + 1 : end]
            at = end + 1
        letters.append((letter, argument))
    return letters


def _closing(options: str, opening: int, letter: str) -> int:
    depth = 0
    for at in range(opening, len(options)):
        depth += (options[at] == "(") - (options[at] == ")")
        if depth == 0:
            return at
    raise BadInput(
        "the Dial option %(letter)s( in %(options)s is never closed: add the missing parenthesis",
        letter=letter,
        options=repr(options),
    )


def bypassing_options(options: str) -> list[str]:
    """The options, as written, with which a call could talk unbilled; `BYPASSING` says why for each letter.

    G, M and A do nothing without an argument, so they offend only with one.

    Raises:
        BadInput: the options cannot be read.
    """
    return [
        letter if argument is None else f"{letter}({argument})"
        for letter, argument in dial_option_letters(options)
        if letter in BYPASSING and (argument or letter not in _IDLE_WITHOUT_ARGUMENT)
    ]


def vanishing_destinations(dial_string: str) -> list[str]:
    """The destinations that step aside as soon as voice flows, and take our stamp and limit with them.

    They are Local channels without the option `n`: `Local/555@outbound`, not `Local/555@outbound/n`.
    """
    return [destination for destination in dial_string.split("&") if _vanishes(destination.strip())]


def _vanishes(destination: str) -> bool:
    technology, _, rest = destination.partition("/")
    return technology.lower() == "local" and "n" not in rest.rpartition("@")[2].partition("/")[2]
