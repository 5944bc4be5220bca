"""`serve`, `calls` and `web`: the running product."""

import sys
from typing import Any

from coovox_billing import log_output
from coovox_billing.cli.context import Context


def add_commands(commands: Any) -> None:
    """Add this module's commands to the parser."""
    for name, run, help_text in (
        ("serve", _serve, "run the product: both planes, watched and restarted"),
        ("calls", _calls, "run the call plane alone: answers Asterisk"),
        ("web", _web, "run the management plane alone: serves the pages"),
    ):
        commands.add_parser(name, help=help_text).set_defaults(run=run)


def _serve(context: Context) -> int:
    from coovox_billing.serve import Parent

    log_output.begin(context.config.log_level)
    context.make_site()
    _greet(context)
    context.close()
    return Parent(["--data", str(context.config.data)]).run()


def _calls(context: Context) -> None:
    _spare_openssl()
    from coovox_billing import call_plane

    log_output.begin(context.config.log_level)
    call_plane.run(context.config)


def _spare_openssl() -> None:
    """Megabytes of a library for what the call plane never speaks; asyncio and hashlib do without."""
    for name in ("ssl", "_hashlib"):
        sys.modules[name] = None  # type: ignore[assignment]


def _web(context: Context) -> None:
    from coovox_billing.frugal_memory import give_back_freed

    give_back_freed()
    from coovox_billing import web_plane

    log_output.begin(context.config.log_level)
    web_plane.run(context.config)


def _greet(context: Context) -> None:
    """Say where the pages are, and make the owner's first password known once (DESIGN §8)."""
    from coovox_billing.services import owner

    print(f"CooVox Billing keeps its data in {context.config.data}")
    print(
        f"Pages: http://{context.config.web_listen}{context.config.web_prefix}/  Asterisk asks: agi://{context.config.agi_listen}"
    )
    first = owner.ensure_first_password(context.database, context.config.data, context.person().now_ms)
    left = context.config.data / owner.FIRST_PASSWORD_FILE
    if first and sys.stdout.isatty():
        print(f"Sign in as owner with the password {first} and change it: it is not shown again.")
        left.unlink()
    elif left.exists():
        print(f"The owner's first password is in {left}")
    sys.stdout.flush()
