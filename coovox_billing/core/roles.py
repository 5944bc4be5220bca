"""The roles of people at the pages. What each may open is said on the pages' routes (`web.access`)."""

from enum import StrEnum


class Role(StrEnum):
    """A role, by its name in the database and at the command line."""

    ANYBODY = "anybody"  # has not signed in
    OWNER = "owner"  # the administrator of the appliance, who may all
    MANAGER = "manager"  # the guide's billing manager: all billing pages
    CASHIER = "cashier"  # sees balances and recharges, up to a limit
    AUDITOR = "auditor"  # reads all, changes nothing
    PERSON = "person"  # behind an extension: sees its own account in self-service, and nothing else


BILLING_ROLES = (Role.MANAGER, Role.CASHIER, Role.AUDITOR)
