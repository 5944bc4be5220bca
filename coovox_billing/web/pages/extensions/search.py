"""What the *Extensions* page searches, shows and selects: shared by the list and by the forms that it opens."""

from urllib.parse import parse_qsl, urlencode

from flask import request, url_for

from coovox_billing.core.extension_number import is_extension
from coovox_billing.store import queries
from coovox_billing.store.lists import extensions
from coovox_billing.store.lists.extensions import ExtensionQuery, Sums
from coovox_billing.store.queries import Extension
from coovox_billing.web import formats
from coovox_billing.web.arguments import Arguments
from coovox_billing.web.listing import Column, Kind, read_sort
from coovox_billing.web.words import gettext as _

SEARCH_WORDS = ("keywords", "status", "payment_type", "billing", "below", "sort", "per_page", "page")
SELECTION_BYTES = 256 * 1024
NAMED_AT_MOST = 12


def read_query(arguments: Arguments) -> ExtensionQuery:
    """The search of an address."""
    return ExtensionQuery(
        keywords=arguments.text("keywords"),
        status=arguments.choice("status", tuple(statuses())),
        payment_type=arguments.choice("payment_type", tuple(payment_types())),
        billing=arguments.choice("billing", tuple(switch())),
        sort=read_sort(arguments, columns(), "extension"),
        below_micros=arguments.amount("below"),
    )


def columns() -> list[Column[Extension]]:
    """The guide's, in its order, then billing and what calls hold."""
    sign = formats.currency_sign(queries.site().currency)
    return [
        Column(_("Extension"), lambda row: row.number, sort="extension", names_row=True, look="figures"),
        Column(_("Username"), lambda row: row.name, sort="name", look="name"),
        Column(
            _("Total Recharges(%(sign)s)", sign=sign),
            lambda row: row.total_recharges_micros,
            Kind.AMOUNT,
            "total",
            look="minor",
            tone=lambda row: "" if row.total_recharges_micros else "nothing",
        ),
        Column(
            _("Balance(%(sign)s)", sign=sign),
            lambda row: row.balance_micros,
            Kind.AMOUNT,
            "balance",
            look="lead",
            tone=lambda row: "owes" if row.balance_micros < 0 else "" if row.balance_micros else "nothing",
        ),
        Column(
            _("Credit(%(sign)s)", sign=sign),
            lambda row: row.credit_micros,
            Kind.AMOUNT,
            "credit",
            tone=lambda row: "" if row.credit_micros else "nothing minor",
        ),
        Column(_("Payment Type"), lambda row: payment_types()[row.payment_type], sort="payment_type", look="bare"),
        Column(
            _("Status"),
            lambda row: statuses()[row.status],
            sort="status",
            look="bare",
            tone=lambda row: "minor" if row.status == "unlocked" else "",
        ),
        Column(_("Billing"), lambda row: switch()["on" if row.billing else "off"], sort="billing"),
        Column(
            _("Held(%(sign)s)", sign=sign),
            lambda row: row.held_micros,
            Kind.AMOUNT,
            "held",
            tone=lambda row: "" if row.held_micros else "nothing minor",
        ),
    ]


def totals(sums: Sums) -> dict[str, int]:
    """The sums by the words of their columns, in micros."""
    return {
        "total": sums.recharges_micros,
        "balance": sums.balance_micros,
        "credit": sums.credit_micros,
        "held": sums.held_micros,
    }


def about(query: ExtensionQuery) -> list[tuple[str, str]]:
    """What a download says of its search."""
    below = query.below_micros
    return [
        (_("Keywords"), query.keywords),
        (_("Status"), statuses().get(query.status, "")),
        (_("Payment Type"), payment_types().get(query.payment_type, "")),
        (_("Billing"), switch().get(query.billing, "")),
        *([] if below is None else [(_("Available below"), formats.amount(below))]),
    ]


def statuses() -> dict[str, str]:
    """The words of each status."""
    return {"unlocked": _("Unlocked"), "locked": _("Locked")}


def payment_types() -> dict[str, str]:
    """The words of each payment type."""
    return {"prepaid": _("Prepaid"), "postpaid": _("Postpaid")}


def switch() -> dict[str, str]:
    """The words of billing."""
    return {"on": _("On"), "off": _("Off")}


def selected() -> list[str]:
    """The extensions that the list's form names: those that match its search with `all`, else those that are ticked."""
    if request.args.get("all"):
        arguments = Arguments(request.args)
        query = read_query(arguments)
        return [] if arguments.errors else query.numbers()
    return _known(request.args.getlist("extension"))


def sent() -> list[str]:
    """The extensions that a form was shown for, and is sent for."""
    return list(dict.fromkeys(filter(is_extension, request.form.get("extensions", "").split())))


def named(numbers: list[str]) -> tuple[str, int]:
    """The first of them as text, and how many there are beside."""
    return ", ".join(numbers[:NAMED_AT_MOST]), max(0, len(numbers) - NAMED_AT_MOST)


def search() -> str:
    """The list's search and page as a form carries them along, so that it leads back to where it was opened."""
    if request.method == "POST":
        return request.form.get("search", "")
    return urlencode([(name, value) for name, value in request.args.items() if name in SEARCH_WORDS and value])


def back() -> str:
    """The list as it was searched when the form was opened."""
    kept = [(name, value) for name, value in parse_qsl(search()[:1000]) if name in SEARCH_WORDS]
    return url_for("extensions.show") + (f"?{urlencode(kept)}" if kept else "")


def _known(numbers: list[str]) -> list[str]:
    known = extensions.names(numbers)
    return [number for number in dict.fromkeys(numbers) if number in known]
