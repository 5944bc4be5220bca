"""What needs a person's attention, each with where it is put right. What is fine is not told.

Nothing is judged here that is judged elsewhere: the machine by `services.condition`, trial and license by
`services.licensing`, backups by `services.backups`; calls and extensions are those that their lists find.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

from flask import url_for

from coovox_billing.core.call import ALONE, ARCHIVED, CLOCK, LOST, UNCOLLECTED
from coovox_billing.core.clock import local_day
from coovox_billing.core.money import format_amount
from coovox_billing.core.site_settings import Site
from coovox_billing.services.condition import LOST_DAYS, Condition
from coovox_billing.services.licensing import Standing
from coovox_billing.store.lists import extensions
from coovox_billing.store.lists.calls import REASONS, CallQuery
from coovox_billing.store.lists.extensions import ExtensionQuery
from coovox_billing.web import formats
from coovox_billing.web.access import may
from coovox_billing.web.pages import call_log, health
from coovox_billing.web.pages.dashboard.listed import listed
from coovox_billing.web.parts import parts
from coovox_billing.web.words import gettext as _
from coovox_billing.web.words import ngettext, told

_STATUSES = ("no-rate", "no-payer", UNCOLLECTED, LOST, ALONE, CLOCK, ARCHIVED)


@dataclass(frozen=True, slots=True)
class Matter:
    """Something to look at, and links that help: words and address. `is_bad` where calls are at stake just now."""

    name: str
    words: str
    links: tuple[tuple[str, str], ...] = ()
    is_bad: bool = False


def matters(site: Site) -> list[Matter]:
    """All that needs attention, what is worst first."""
    faults = [found for found in health.look([*parts().examinations, *parts().inquiries]) if not found.is_good]
    has_bad_clock = any(fault.name == "clock" for fault in faults)
    found = [*map(_of_machine, faults), *_of_standing(parts().licensing.standing(), has_bad_clock)]
    found += [*_of_calls(site), *_of_extensions(site)]
    return sorted(found, key=lambda matter: not matter.is_bad)


def _of_machine(fault: Condition) -> Matter:
    is_backup = fault.name == "backup"
    return Matter(
        fault.name, told(fault.what_to_do), _links((_("Backups"), "backups.show")) if is_backup else (), not is_backup
    )


def _of_standing(standing: Standing, has_bad_clock: bool) -> Iterator[Matter]:
    """Trial and license. Of a wrong clock both tell; once is enough."""
    billing = _links((_("Billing"), "billing_settings.show"))
    if not standing.is_active:
        yield Matter("activation", _("Billing is switched off: all calls pass unbilled."), billing, is_bad=True)
    if standing.is_barred:
        yield Matter(
            "trial",
            _("The trial is over. Billing users cannot sign in; calls go on being limited as before."),
            billing,
            is_bad=True,
        )
    elif standing.is_soon_over:
        days = standing.days_left or 0
        words = ngettext("%(num)s day of the trial is left.", "%(num)s days of the trial are left.", days)
        yield Matter("trial", words, billing)
    if standing.license is None and not has_bad_clock:
        for fault in map(told, standing.faults):
            yield Matter("license", f"{fault[:1].upper()}{fault[1:]}.", billing)


def _of_calls(site: Site) -> Iterator[Matter]:
    """Calls of the last days that did not go as they should."""
    today = local_day(parts().now_ms(), site.time_zone)
    first = today - timedelta(days=LOST_DAYS - 1)
    for status in _STATUSES:
        reason, flag = (status, "") if status in REASONS else ("", status)
        if count := CallQuery(site.time_zone, first, today, reason=reason, flag=flag).count():
            these = (_("These calls"), listed(first, today, status=status))
            words = ngettext(
                "%(what)s: %(num)s call of the last %(days)s days",
                "%(what)s: %(num)s calls of the last %(days)s days",
                count,
                what=call_log.statuses()[status],
                days=LOST_DAYS,
            )
            yield Matter(status, words, (these, *_links(*_putting_right().get(status, ()))))


def _putting_right() -> dict[str, tuple[tuple[str, str], ...]]:
    """What keeps such calls from happening again."""
    return {"no-rate": ((_("Check my rates"), "rates.check.show"),), "no-payer": ((_("Settings"), "settings.show"),)}


def _of_extensions(site: Site) -> Iterator[Matter]:
    """Who has little left, and who is there again."""
    low = ExtensionQuery(status="unlocked", billing="on", below_micros=site.low_balance_micros)
    if count := low.count():
        amount = formats.money(site.low_balance_micros, site.currency)
        words = ngettext(
            "%(num)s extension has less than %(amount)s left.",
            "%(num)s extensions have less than %(amount)s left.",
            count,
            amount=amount,
        )
        below = format_amount(site.low_balance_micros)
        links = ((_("These extensions"), url_for("extensions.show", billing="on", status="unlocked", below=below)),)
        yield Matter("low", words, links)
    if count := len(extensions.recreated()):
        words = ngettext(
            "%(num)s closed extension is there again: is it the same?",
            "%(num)s closed extensions are there again: are they the same?",
            count,
        )
        yield Matter("recreated", words, _links((_("Extensions"), "extensions.show")))


def _links(*pages: tuple[str, str]) -> tuple[tuple[str, str], ...]:
    """Those of some pages that the reader may open."""
    return tuple((words, url_for(endpoint)) for words, endpoint in pages if may(endpoint))
