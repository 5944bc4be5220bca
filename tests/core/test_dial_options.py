"""It reads Dial's options as Asterisk does, and names those that bypass billing."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coovox_billing.core.dial_options import BYPASSING, bypassing_options, dial_option_letters, vanishing_destinations
from coovox_billing.errors import BadInput


@pytest.mark.parametrize(
    ("options", "letters"),
    [
        ("", []),
        ("tTg", [("t", None), ("T", None), ("g", None)]),
        ("t T", [("t", None), ("T", None)]),
        ("m()", [("m", "")]),
        ("L(60000:3000:2000)g", [("L", "60000:3000:2000"), ("g", None)]),
        ("b(pre^s^1(7^8))U(ans^x)T", [("b", "pre^s^1(7^8)"), ("U", "ans^x"), ("T", None)]),
        ('m("a b")g', [("m", '"a b"'), ("g", None)]),
        (r"b(pre^s^1(7\,8))g", [("b", r"pre^s^1(7\,8)"), ("g", None)]),
    ],
)
def test_it_takes_the_options_apart(options: str, letters: list[tuple[str, str | None]]) -> None:
    assert dial_option_letters(options) == letters


@pytest.mark.parametrize(
    "options",
    ["b(pre^s^1(7)", "m(", "(x)", "t,T", "t)", "3", "tÇ", "t\u00a0", "t\\", '"tT"', r"\tT", 'm("a)G(x)")'],
)
def test_it_refuses_what_cannot_be_read(options: str) -> None:
    with pytest.raises(BadInput):
        dial_option_letters(options)


@pytest.mark.parametrize("options", [r"m(\"(\")G(x))", r"m(\\()G(x))", r"f(a\)b)"])
def test_it_refuses_a_backslash_behind_which_an_option_could_hide(options: str) -> None:
    with pytest.raises(BadInput, match="backslash"):
        dial_option_letters(options)


def test_it_says_which_option_is_never_closed() -> None:
    with pytest.raises(BadInput, match=r"b\("):
        dial_option_letters("tb(pre")


@pytest.mark.parametrize(
    ("options", "offenders"),
    [
        ("G(joined^s^1)", ["G(joined^s^1)"]),
        ("tM(screen)", ["M(screen)"]),
        ("A(hello)T", ["A(hello)"]),
        ("p", ["p"]),
        ("P(family)g", ["P(family)"]),
        ("pG(x)", ["p", "G(x)"]),
    ],
)
def test_it_names_options_that_bypass_billing(options: str, offenders: list[str]) -> None:
    assert bypassing_options(options) == offenders


@pytest.mark.parametrize(
    "options", ["", "tTgL(60000)S(5)", "U(mine^G(x))", "b(A(x)^s^1)", "m(Musik)", "G", "A()", "aD(12)F(x)"]
)
def test_it_lets_every_other_option_pass(options: str) -> None:
    assert bypassing_options(options) == []


def test_it_says_why_for_every_letter_it_names() -> None:
    assert all(bypassing_options(f"{letter}(x)") for letter in BYPASSING)


WRITTEN = st.tuples(
    st.sampled_from("tTgLUbGMApP"),
    st.none() | st.from_regex(r"[a-z0-9^:]{0,6}(\([a-z]*\))?", fullmatch=True),
)


@given(st.text() | st.text(alphabet='tTGbU()"\\ ,^$'))
def test_it_never_fails_with_anything_but_bad_input(options: str) -> None:
    for read in (dial_option_letters, bypassing_options):
        with contextlib.suppress(BadInput):
            read(options)


@given(st.lists(WRITTEN))
def test_it_gives_back_every_well_formed_option(parts: list[tuple[str, str | None]]) -> None:
    written = "".join(letter if argument is None else f"{letter}({argument})" for letter, argument in parts)
    assert dial_option_letters(written) == parts


@pytest.mark.parametrize(
    ("dial_string", "vanishing"),
    [
        ("PJSIP/555@carrier", []),
        ("Local/555@outbound/n", []),
        ("local/555@outbound/nj", []),
        ("Local/5/5@outbound/jn", []),
        ("Local/555@outbound", ["Local/555@outbound"]),
        ("LOCAL/555@outbound/j", ["LOCAL/555@outbound/j"]),
        ("Local/n@n", ["Local/n@n"]),
        ("PJSIP/5@a&Local/555@b & Local/6@c/n", ["Local/555@b "]),
        ("", []),
    ],
)
def test_it_names_the_destinations_that_step_aside(dial_string: str, vanishing: list[str]) -> None:
    assert vanishing_destinations(dial_string) == vanishing
