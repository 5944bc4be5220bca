"""Who may open a page: every route names the role it asks for (DESIGN §8)."""

from collections.abc import Callable
from enum import IntEnum
from typing import Any, TypeVar

from flask import current_app

View = TypeVar("View", bound=Callable[..., Any])

_ROLE = "coovox_role"


class Role(IntEnum):
    """From the least to the most: each may do what those before it may."""

    ANYBODY = 0
    MANAGER = 1
    OWNER = 2


def needs(role: Role) -> Callable[[View], View]:
    """Only whoever has the role, or a greater one, gets the page."""

    def mark(view: View) -> View:
        setattr(view, _ROLE, role)
        return view

    return mark


def role_of(endpoint: str | None) -> Role | None:
    """The role that a route asks for: anybody's where there is no page, None where it names none."""
    if endpoint is None or endpoint == "static":
        return Role.ANYBODY
    role: Role | None = getattr(current_app.view_functions[endpoint], _ROLE, None)
    return role
