"""`setting list|get|set`, `owner set-password` and `owner reset-second-factor`."""

from pathlib import Path
from typing import Any

from coovox_billing.cli.context import Context, asked_secret, listable
from coovox_billing.config import CONFIG_VARIABLE, DEFAULT_CONFIG_FILE, FILE_SETTINGS
from coovox_billing.core import backup_plan
from coovox_billing.core.site_settings import SITE_SETTINGS, site_setting
from coovox_billing.errors import BillingError, NotFound
from coovox_billing.services import handover, owner, second_factor, site
from coovox_billing.small_files import as_owner_of
from coovox_billing.store import reads


def add_commands(commands: Any) -> None:
    """Add this module's commands to the parser."""
    setting = commands.add_parser("setting", help="what the site decides: currency, time zone, policies")
    verbs = setting.add_subparsers(metavar="VERB", required=True)
    listing = verbs.add_parser("list", help="all settings")
    listable(listing)
    listing.set_defaults(run=_list)
    getting = verbs.add_parser("get", help="one setting's value")
    getting.add_argument("name", metavar="NAME")
    getting.set_defaults(run=_get)
    changing = verbs.add_parser("set", help="change a setting")
    changing.add_argument("name", metavar="NAME")
    changing.add_argument("value", metavar="VALUE")
    changing.set_defaults(run=_set)
    owners = commands.add_parser("owner", help="the appliance's owner")
    owner_verbs = owners.add_subparsers(metavar="VERB", required=True)
    password = owner_verbs.add_parser(
        "set-password", help="set the owner's password: asked for, or one line of standard input"
    )
    password.set_defaults(run=_set_password)
    link = owner_verbs.add_parser("link", help="a link for the PBX's menu: it signs the owner in, once")
    link.add_argument("--for", dest="address", default="", metavar="ADDRESS", help="of the browser that may use it")
    link.set_defaults(run=_link)
    factor = owner_verbs.add_parser("reset-second-factor", help="let the owner sign in with the password alone")
    factor.set_defaults(run=_reset_second_factor)


def _list(context: Context) -> None:
    values = {setting.name: _value(context, setting.name) for setting in SITE_SETTINGS}
    rows = [{"name": s.name, "value": values[s.name], "default": s.default, "why": s.why} for s in SITE_SETTINGS]
    context.show(rows, ("name", "value", "why"), "")


def _get(context: Context) -> None:
    _refuse_file_setting(context.arguments.name)
    print(_value(context, context.arguments.name))


def _set(context: Context) -> None:
    name, text, person = context.arguments.name, context.arguments.value, context.person()
    _refuse_file_setting(name)
    value = context.database.write(lambda c: site.change_setting(c, name, text, person))
    print(f"{name} = {value}")
    if name == "backup_to":
        _try_out(context.config.data, value)


def _try_out(directory: Path, place: str) -> None:
    """Say what keeps backups from their new place, as the service would find it: it is no root."""
    from coovox_billing.backup import places

    address = backup_plan.parse_address(place)
    if address is not None and address.kind not in places.FOLDERS:
        print("The server was not asked yet. Try it: coovox-billing backups now")
        return
    try:
        with as_owner_of(directory):
            places.try_out(address, directory)
    except BillingError as error:
        print(f"note   It is stored, but {error}. Then try it: coovox-billing backups now")


def _refuse_file_setting(name: str) -> None:
    """Say where a setting is that must be known before the database is open.

    Raises:
        NotFound: it is such a setting.
    """
    variable = next((setting.variable for setting in FILE_SETTINGS if setting.name == name), None)
    if variable is not None:
        file = f"{DEFAULT_CONFIG_FILE}, or what {CONFIG_VARIABLE} names"
        raise NotFound(
            "%(name)s is not in the database: write it into the settings file (%(file)s) or into %(variable)s",
            name=name,
            file=file,
            variable=variable,
        )


def _value(context: Context, name: str) -> str:
    setting = site_setting(name)
    stored = context.database.read(lambda c: reads.setting(c, name))
    return setting.default if stored is None else stored


def _set_password(context: Context) -> None:
    password, person = asked_secret("password"), context.person()
    owner.set_password(context.database, password, person)
    print("the owner's password is set")


def _link(context: Context) -> None:
    ticket = handover.make_ticket(context.database.path.parent, context.arguments.address)
    print(f"{context.config.web_prefix}/enter/{ticket}")


def _reset_second_factor(context: Context) -> None:
    person = context.person()
    context.database.write(lambda c: second_factor.turn_off(c, owner.OWNER, person))
    print("the owner signs in with the password alone")
