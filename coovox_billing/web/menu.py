"""The menu, in the guide's order: each page with its words and sign, for whoever may open it."""

from dataclasses import dataclass

from flask import request

from coovox_billing.web.access import may
from coovox_billing.web.words import gettext as _
from coovox_billing.web.words import later


@dataclass(frozen=True, slots=True)
class Item:
    """A line of the menu; `icon` is a symbol of `icons.svg`."""

    endpoint: str
    name: str
    icon: str
    more: tuple[str, ...] = ()  # blueprints of further pages that belong to it

    @property
    def words(self) -> str:
        """Its name in the reader's language."""
        return _(self.name)

    @property
    def is_current(self) -> bool:
        """Whether the page is open, or another one of its blueprint, or of one nested in that."""
        return (request.blueprint or "").partition(".")[0] in (self.endpoint.partition(".")[0], *self.more)


ITEMS = (
    Item("dashboard.show", later("Dashboard"), "dashboard"),
    Item("extensions.show", later("Extensions"), "extensions"),
    Item("rates.show", later("Rate"), "tag"),
    Item("recharge_history.show", later("Recharge History"), "wallet"),
    Item("call_log.show", later("Call Log"), "calls"),
    Item("statistics.show", later("Statistics"), "chart"),
    Item("settings.show", later("Settings"), "gear"),
    Item("changes.show", later("Audit Log"), "log"),
    Item("billing_settings.show", later("Billing"), "power", ("first_steps", "backups")),
    Item("billing_manager.show", later("Billing Manager"), "people"),
)


def items() -> list[Item]:
    """What stands in the menu of whoever is signed in."""
    return [item for item in ITEMS if may(item.endpoint)]
