"""How much a request may send: little, but for the routes that say otherwise (DESIGN §8)."""

from collections.abc import Callable
from typing import Any, TypeVar

from flask import Request, current_app

View = TypeVar("View", bound=Callable[..., Any])

USUAL_BYTES = 16 * 1024
LONG_FORM_BYTES = 256 * 1024  # several thousand extensions of a selection
FILE_BYTES = 1024 * 1024
LARGEST_BYTES = FILE_BYTES + LONG_FORM_BYTES

_MOST = "coovox_most_bytes"


def takes(most_bytes: int) -> Callable[[View], View]:
    """A route whose form or file may be larger than the forms of other pages, up to LARGEST_BYTES."""

    def mark(view: View) -> View:
        setattr(view, _MOST, most_bytes)
        return view

    return mark


def _most_bytes(request: Request) -> int:
    view = current_app.view_functions.get(request.endpoint or "")
    return int(getattr(view, _MOST, USUAL_BYTES))


class BoundedRequest(Request):
    """A request whose body is bounded by its route, before anything of it is read; more is answered with 413."""

    max_content_length = property(_most_bytes)
    max_form_memory_size = property(_most_bytes)
