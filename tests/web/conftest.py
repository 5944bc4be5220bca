"""An owner at a browser: the pages over the cast's database, with clocks that the test moves."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import unquote

import pytest
from flask import Flask
from flask.testing import FlaskClient
from jinja2.bccache import Bucket, BytecodeCache
from werkzeug.routing import Rule

from coovox_billing import RELEASED_MS
from coovox_billing.backup.runner import Runner
from coovox_billing.core.money import parse_amount
from coovox_billing.core.roles import Role
from coovox_billing.services import owner, passwords, people, second_factor
from coovox_billing.services.licensing import Build, Licensing
from coovox_billing.services.people import Duty
from coovox_billing.store.database import Database
from coovox_billing.store.models import reading
from coovox_billing.web import create_app
from coovox_billing.web.app import Pages
from tests import cast
from tests.licenses import ROOT_KEY, a_device

PASSWORD = "correct horse battery"
NEW_PASSWORD = "staple horse battery"


class ReadingClient(FlaskClient):
    """A browser that reads what it asks for to the end, as others do."""

    def open(self, *arguments: Any, buffered: bool = True, **options: Any) -> Any:
        return super().open(*arguments, buffered=buffered, **options)


class CompiledTemplates(BytecodeCache):
    """Templates are the same for every application, so they are compiled once."""

    def __init__(self) -> None:
        self._compiled: dict[str, bytes] = {}

    def load_bytecode(self, bucket: Bucket) -> None:
        if bucket.key in self._compiled:
            bucket.bytecode_from_string(self._compiled[bucket.key])

    def dump_bytecode(self, bucket: Bucket) -> None:
        self._compiled[bucket.key] = bucket.bytecode_to_string()


TEMPLATES = CompiledTemplates()


class CompiledRule(Rule):
    """Routes are the same for every application, so what builds their addresses is compiled once."""

    _compiled: ClassVar[dict[str, Any]] = {}

    def _compile_builder(self, append_unknown: bool = True) -> Any:
        key = repr((self.rule, self._trace, self.defaults, append_unknown))
        if key not in self._compiled:
            self._compiled[key] = super()._compile_builder(append_unknown)
        return self._compiled[key]


@dataclass
class Desk:
    """The application, one browser, and the two clocks it goes by."""

    database: Database
    directory: Path
    now_ms: int = cast.NOW_MS
    monotonic: float = 1000.0
    call_plane_is_up: bool = True
    prefix: str = ""
    app: Flask = field(init=False)
    browser: FlaskClient = field(init=False)

    def open(self, **options: Any) -> None:
        """Make the application, with a fresh browser before it."""
        self.prefix = options.get("web_prefix", "")
        build = Build("1.0", options.pop("released_ms", RELEASED_MS), ROOT_KEY)
        device = options.pop("device", a_device())
        licensing = Licensing(self.database, self.directory, device, build, lambda: self.now_ms)
        self.app = create_app(
            self.directory,
            self.database,
            call_plane_is_up=lambda: self.call_plane_is_up,
            now_ms=lambda: self.now_ms,
            monotonic=lambda: self.monotonic,
            licensing=licensing,
            runner=Runner(self.database, self.directory, lambda: self.now_ms, options.pop("program", ("true",))),
            **options,
        )
        self.app.jinja_env.bytecode_cache = TEMPLATES
        self.app.test_client_class = ReadingClient
        self.browser = self.app.test_client()

    def wait(self, seconds: float) -> None:
        """Let time pass on both clocks."""
        self.now_ms += int(seconds * 1000)
        self.monotonic += seconds

    def form_token(self, path: str, browser: FlaskClient | None = None, **options: Any) -> str:
        """The token of the forms on a page."""
        html = (browser or self.browser).get(path, **options).text
        found = re.search(r'name="csrf" value="([^"]+)"', html)
        assert found, f"{path} has no form token"
        return found[1]

    def sign_in(
        self,
        password: str = PASSWORD,
        browser: FlaskClient | None = None,
        *,
        user: str = "owner",
        next_page: str = "",
        **options: Any,
    ) -> Any:
        """Fill in the sign-in form and send it."""
        at = browser or self.browser
        path = f"{self.prefix}/sign-in"
        form = {"csrf": self.form_token(path, at, **options), "user": user, "password": password}
        return at.post(path, data=form | {"next": next_page}, **options)

    def post(self, path: str, form: dict[str, str], page: str = "/extensions") -> Any:
        """Send a form of a page."""
        return self.browser.post(path, data={"csrf": self.form_token(page)} | form)

    def add_user(self, role: Role, limit: str = "50", daily_limit: str = "") -> str:
        """A billing user with the usual password; a cashier with limits."""
        limits = (parse_amount(limit), parse_amount(daily_limit) if daily_limit else None)
        duty = Duty(role, "Ann", *limits) if role == Role.CASHIER else Duty(role, "Ann")
        hashed = passwords.hashed(PASSWORD)
        return self.database.write(lambda c: people.create(c, hashed, duty, cast.MANAGER))

    def someone(self, role: Role, **limits: str) -> str:
        """The browser changes hands: from now on somebody with this role is signed in; his name."""
        name = "owner" if role == Role.OWNER else self.add_user(role, **limits)
        self.browser = self.app.test_client()
        assert self.sign_in(user=name).status_code == 303
        return name

    def change_password(self, current: str = PASSWORD, new: str = NEW_PASSWORD, again: str | None = None) -> Any:
        """Fill in the password page's form and send it."""
        form = {"current": current, "new": new, "again": new if again is None else again}
        return self.post("/account/password", form, "/account")

    def leads_to(self, path: str) -> str:
        """Where a page sends the browser on to, with nothing escaped."""
        return unquote(self.browser.get(path).location or "")

    def page(self, path: str) -> str:
        """The HTML of a page that must be there."""
        response = self.browser.get(path)
        assert response.status_code == 200, f"{path}: {response.status_code}"
        return str(response.text)


@pytest.fixture(scope="session", autouse=True)
def compiled_rules() -> Iterator[None]:
    """Half the time of these tests went into compiling the same routes for each application."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Pages, "url_rule_class", CompiledRule)
        yield


@pytest.fixture
def database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Database]:
    """The cast's database, with the owner's password set and hashed cheaply."""
    monkeypatch.setattr(passwords, "_COST_EXPONENT", 4)
    monkeypatch.setattr(second_factor, "RELEASED_MS", cast.NOW_MS - 86_400_000)
    with cast.move_in(tmp_path) as moved_in:
        owner.set_password(moved_in, PASSWORD, cast.MANAGER)
        yield moved_in
    reading.close()


@pytest.fixture
def closed_desk(database: Database, tmp_path: Path) -> Callable[..., Desk]:
    """A desk to be opened with other options."""

    def open_desk(**options: Any) -> Desk:
        desk = Desk(database, tmp_path)
        desk.open(**options)
        return desk

    return open_desk


@pytest.fixture
def desk(closed_desk: Callable[..., Desk]) -> Desk:
    """The application as it is by default; nobody is signed in."""
    return closed_desk()


@pytest.fixture
def owner_desk(desk: Desk) -> Desk:
    """The same with the owner signed in."""
    assert desk.sign_in().status_code == 303
    return desk
