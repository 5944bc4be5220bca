"""The application: what every page has in common is set up here, and nowhere else."""

import secrets
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

from flask import Flask, g, request
from jinja2 import StrictUndefined
from werkzeug.routing import Map

from coovox_billing import RELEASED_MS, __version__
from coovox_billing.backup.runner import Runner
from coovox_billing.core.devices import Listing
from coovox_billing.core.money import format_amount
from coovox_billing.services import backups, condition
from coovox_billing.services.condition import Room, room_of
from coovox_billing.services.licensing import UNKNOWN_DEVICE, Build, Licensing
from coovox_billing.shipped import shipped
from coovox_billing.store.database import Database
from coovox_billing.store.models import open_reading
from coovox_billing.wall_clock import wall_clock_ms
from coovox_billing.web import (
    access,
    bodies,
    charts,
    csrf,
    formats,
    headers,
    listing,
    menu,
    numerals,
    periods,
    pieces,
    reader,
    refreshing,
    sessions,
    trouble,
    words,
)
from coovox_billing.web.brake import Brake
from coovox_billing.web.front import Environ, Front, tidy_prefix
from coovox_billing.web.pages import (
    account,
    billing_manager,
    call_log,
    changes,
    dashboard,
    extensions,
    health,
    lists,
    rates,
    recharge_history,
    self_service,
    settings,
    sign_in,
    statistics,
    theme,
)
from coovox_billing.web.pages.addons import backups as backups_page
from coovox_billing.web.pages.addons import billing_settings, enter, first_steps
from coovox_billing.web.pages_first import pages_first
from coovox_billing.web.parts import Parts, no_mailboxes, no_manager
from coovox_billing.web.pin_brake import PinBrake

STATIC_SECONDS = 3600
DISK_SPEED_FRESH_SECONDS = 60.0
BACKUP_FRESH_SECONDS = 60.0
MANAGER_FRESH_SECONDS = 5.0
SESSION_KEY_BYTES = 32

BLUEPRINTS = (
    sign_in.page,
    dashboard.page,
    extensions.page,
    rates.page,
    recharge_history.page,
    call_log.page,
    statistics.page,
    settings.page,
    changes.page,
    lists.page,
    billing_settings.page,
    first_steps.page,
    backups_page.page,
    enter.page,
    billing_manager.page,
    account.page,
    self_service.page,
    theme.page,
    health.page,
)


class ExactPaths(Map):
    """Paths as they are written. Tidying them (`//extensions`) would redirect to the Host header's host."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**(options | {"merge_slashes": False, "strict_slashes": False}))


class Pages(Flask):
    """Flask with exact paths, and bodies bounded by route; files wait for its pages."""

    url_map_class: type[Map] = ExactPaths
    request_class = bodies.BoundedRequest

    def wsgi_app(self, environ: Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Make a page, or what comes before the first piece of a file."""
        with pages_first:
            return super().wsgi_app(environ, start_response)


def create_app(
    directory: Path,
    database: Database,
    *,
    call_plane_is_up: Callable[[], bool],
    has_manager: Callable[[], bool | None] = lambda: None,
    web_prefix: str = "",
    trusted_proxies: Collection[str] = (),
    now_ms: Callable[[], int] = wall_clock_ms,
    monotonic: Callable[[], float] = time.monotonic,
    disk_room: Callable[[Path], Room] = room_of,
    read_devices: Callable[[], Sequence[Listing]] = no_manager,
    licensing: Licensing | None = None,
    runner: Runner | None = None,
    voicemail_pin: Callable[[str], str] = no_mailboxes,
) -> Flask:
    """The pages of a data directory.

    `has_manager` asks the call plane whether it is signed in to Asterisk's manager; None where it has none.
    `now_ms` is the wall clock, `monotonic` what waits are measured by, `disk_room` asks for the room on a disk,
    `read_devices` asks Asterisk for its devices. Without `licensing` no license can be uploaded.
    `runner` makes backups. `voicemail_pin` tells the PIN of an extension's mailbox.

    Raises:
        SetupError: a prefix that is no path, or a proxy that is no address.
    """
    web = shipped("web")
    app = Pages("coovox_billing", template_folder=str(web / "templates"), static_folder=str(web / "static"))
    # Of this process alone: a restart ends every session, those that were signed out among them.
    app.secret_key = secrets.token_bytes(SESSION_KEY_BYTES)
    app.session_interface = sessions.CookieSessions()
    app.config.update(_settings(tidy_prefix(web_prefix)))
    _add_words(app)
    _add_hooks(app, open_reading(directory))
    for blueprint in BLUEPRINTS:
        app.register_blueprint(blueprint)
    with app.app_context():
        examinations = _examinations(directory, database, call_plane_is_up, now_ms, monotonic, disk_room)
        inquiries = (
            health.Examination(
                lambda: [condition.check_manager(has_manager())], list, monotonic, MANAGER_FRESH_SECONDS
            ),
        )
        build = Build(__version__, RELEASED_MS, b"")
        licensing = licensing or Licensing(database, directory, UNKNOWN_DEVICE, build, now_ms)
        runner = runner or Runner(database, directory, now_ms)
        shared = (directory, database, now_ms, Brake(monotonic), examinations, inquiries)
        Parts(*shared, read_devices, licensing, runner, PinBrake(monotonic), voicemail_pin).place()
    app.wsgi_app = Front(app.wsgi_app, web_prefix, trusted_proxies)  # type: ignore[method-assign]
    return app


def _examinations(
    directory: Path,
    database: Database,
    call_plane_is_up: Callable[[], bool],
    now_ms: Callable[[], int],
    monotonic: Callable[[], float],
    disk_room: Callable[[Path], Room],
) -> tuple[health.Examination, ...]:
    """What `/healthz` looks at; the call plane apart, for it answers while the disk hangs."""
    return (
        health.Examination(
            lambda: [condition.check_call_plane(call_plane_is_up())],
            lambda: [condition.check_call_plane(False)],
            monotonic,
        ),
        health.Examination(
            lambda: condition.examine(directory, now_ms(), RELEASED_MS, room=disk_room),
            lambda: condition.when_nothing_answers(now_ms(), RELEASED_MS),
            monotonic,
        ),
        health.Examination(
            lambda: [condition.check_disk_speed(directory, writes=1)],
            lambda: [condition.slow_disk("a write has not come back in a second")],
            monotonic,
            DISK_SPEED_FRESH_SECONDS,
        ),
        health.Examination(
            lambda: [database.read(lambda connection: backups.check(connection, directory, now_ms()))],
            list,
            monotonic,
            BACKUP_FRESH_SECONDS,
        ),
    )


def _settings(prefix: str) -> dict[str, Any]:
    return {
        "PERMANENT_SESSION_LIFETIME": timedelta(seconds=sessions.IDLE_SECONDS),
        "SEND_FILE_MAX_AGE_DEFAULT": STATIC_SECONDS,
        "SESSION_COOKIE_HTTPONLY": True,
        "SESSION_COOKIE_NAME": "coovox_billing",
        "SESSION_COOKIE_PATH": prefix or "/",
        "SESSION_COOKIE_SAMESITE": "Strict",
    }


def _add_words(app: Flask) -> None:
    """What templates may call."""
    words.install(app)
    app.jinja_env.undefined = StrictUndefined
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True
    app.jinja_env.filters.update(
        amount=formats.amount,
        caller=formats.caller,
        day=formats.day,
        duration=formats.duration,
        facts=formats.facts,
        hour=formats.hour,
        long_duration=formats.long_duration,
        money=formats.money,
        moment=formats.moment,
        payment_kind=formats.payment_kind,
        payment_reason=formats.payment_reason,
        plain_amount=format_amount,
        price=formats.price,
        percent_of_mille=formats.percent_of_mille,
        role=formats.role,
        short_duration=formats.short_duration,
        short_time=formats.short_time,
        status=formats.status,
        time_of_day=formats.time_of_day,
        whole=numerals.whole,
    )
    app.jinja_env.tests["open_call"] = formats.is_open
    app.jinja_env.globals.update(
        address=listing.address,
        csrf_field=csrf.FIELD,
        csrf_token=csrf.token,
        flag_marks=formats.FLAG_MARKS,
        languages=reader.names,
        may=access.may,
        menu=menu.items,
        other_sort=listing.other_sort,
        pages_near=listing.pages_near,
        periods=periods.offered,
        percent=charts.percent,
        rows_per_page=listing.ROWS_PER_PAGE,
        signs=numerals.signs,
        sorted_by=listing.sorted_by,
        submission_token=pieces.submission_token,
        themes=theme.THEMES,
        version=__version__,
    )


def _add_hooks(app: Flask, reading: Any) -> None:
    app.before_request(sessions.guard)
    app.before_request(csrf.check)
    app.after_request(headers.add)
    app.register_error_handler(Exception, trouble.handle)

    @app.context_processor
    def who() -> dict[str, Any]:
        return {
            "signed_in": g.get("signed_in", False),
            "user": g.get("user"),
            "own": g.get("own"),
            "refresh_seconds": refreshing.refresh_seconds(request.args),
            "theme": theme.chosen(),
            "palette": theme.chosen_palette(),
            "language": reader.tag(),
            "language_chosen": reader.chosen(),
            "direction": reader.direction(),
        }

    @app.teardown_request
    def let_go(_: BaseException | None) -> None:
        if not reading.is_closed():
            reading.close()
