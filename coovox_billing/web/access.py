"""Who may open a page: every route names the roles that it is for (DESIGN §8).

The owner may open all but self-service, which shows an account of one's own.
"""

from collections.abc import Callable
from typing import Any, TypeVar

from flask import current_app, g

from coovox_billing.core.roles import BILLING_ROLES
from coovox_billing.core.roles import Role as Role

View = TypeVar("View", bound=Callable[..., Any])

EVERYBODY = BILLING_ROLES
READERS = (Role.MANAGER, Role.AUDITOR)

_ROLES = "coovox_roles"


def needs(*roles: Role) -> Callable[[View], View]:
    """Only these roles get the page, and the owner; with `Role.ANYBODY` whoever asks for it.

    What is for `Role.PERSON` is for nobody else.
    """
    everybody = frozenset(Role) if Role.ANYBODY in roles else frozenset()
    opened = everybody or (frozenset(roles) if Role.PERSON in roles else frozenset({*roles, Role.OWNER}))

    def mark(view: View) -> View:
        setattr(view, _ROLES, opened)
        return view

    return mark


def roles_of(endpoint: str | None) -> frozenset[Role] | None:
    """The roles that a route is for: all where there is no page, None where it names none."""
    if endpoint is None or endpoint == "static":
        return frozenset(Role)
    roles: frozenset[Role] | None = getattr(current_app.view_functions[endpoint], _ROLES, None)
    return roles


def may(endpoint: str | None) -> bool:
    """Whether whoever makes this request may open a page; links and buttons to others are not shown."""
    return g.role in (roles_of(endpoint) or ())
