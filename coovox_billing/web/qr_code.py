"""QR codes as a part of a page."""

from markupsafe import Markup

MODULE_PIXELS = 5


def qr_code(text: str) -> Markup:
    """Black on white by day and by night, for telephones read no other; attributes, no style."""
    import segno

    code = segno.make(text, micro=False, error="m")
    return Markup(code.svg_inline(scale=MODULE_PIXELS, dark="#000", light="#fff", omitsize=True))  # noqa: S704
