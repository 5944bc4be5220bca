"""Who a PIN lets in: the person behind an open extension, and nobody who was there before."""

import sqlite3
from collections.abc import Callable

import pytest

from coovox_billing.core.site_settings import BY_OWN_PIN, BY_VOICEMAIL_PIN
from coovox_billing.errors import NotFound, Refused, SetupError
from coovox_billing.services import accounts, passwords, self_service, stays
from coovox_billing.services.self_service import Lock
from tests.cast import MANAGER, Exchange, look_up

PIN = "482915"


@pytest.fixture(autouse=True)
def cheap_hashes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passwords, "_COST_EXPONENT", 4)


def give(exchange: Exchange, **pins: str) -> None:
    hashes = {name.removeprefix("_"): passwords.hashed(pin) for name, pin in pins.items()}
    exchange.database.write(lambda c: self_service.set_pins(c, hashes, MANAGER))


def no_mailbox(extension: str) -> str:
    raise AssertionError("nobody asks for a mailbox")


def lock(
    exchange: Exchange,
    extension: str = "100",
    setting: str = BY_OWN_PIN,
    voicemail_pin: Callable[[str], str] = no_mailbox,
) -> Lock:
    return self_service.lock_of(exchange.database, extension, setting, voicemail_pin)


def opens(exchange: Exchange, extension: str, pin: str) -> int | None:
    return lock(exchange, extension).opens(pin)


def test_it_opens_the_account_of_the_extension_and_no_other(exchange: Exchange) -> None:
    give(exchange, _100=PIN, _101="735192")
    (first,) = look_up(exchange.database.path, "SELECT id FROM accounts WHERE extension = '100'")
    assert opens(exchange, "100", PIN) == first[0]
    assert opens(exchange, "101", PIN) is None
    assert opens(exchange, "102", PIN) is None, "it has none"
    assert opens(exchange, "999", PIN) is None


def test_it_gives_pins_to_all_or_to_none(exchange: Exchange) -> None:
    with pytest.raises(NotFound):
        give(exchange, _100=PIN, _999="735192")
    assert look_up(exchange.database.path, "SELECT * FROM pins") == []


def test_it_is_known_by_another_name_with_another_pin(exchange: Exchange) -> None:
    names = [lock(exchange).name]
    for pin in (PIN, "735192", "735192"):
        give(exchange, _100=pin)
        names.append(lock(exchange).name)
    assert len(set(names)) == 4
    assert not [name for name in names if PIN in name]


def test_it_is_known_by_its_mailbox_where_that_counts(exchange: Exchange) -> None:
    give(exchange, _100=PIN)
    locks = [lock(exchange, "100", BY_VOICEMAIL_PIN, {"100": pin}.get) for pin in ("4829", "7351")]  # type: ignore[arg-type]
    assert locks[0].name != locks[1].name
    assert locks[0].opens("4829") is not None
    assert locks[0].opens(PIN) is None, "the own PIN does not count then"
    assert locks[1].opens("4829") is None


@pytest.mark.parametrize("kept", ["", "100", "1234", "482", "48a9", "*829"])
def test_it_opens_with_no_mailbox_that_anybody_would_open(exchange: Exchange, kept: str) -> None:
    found = lock(exchange, "100", BY_VOICEMAIL_PIN, lambda _extension: kept)
    assert found.opens(kept) is None


def test_it_says_that_mailboxes_cannot_be_read(exchange: Exchange) -> None:
    def voicemail_pin(_extension: str) -> str:
        raise SetupError("it is not there")

    with pytest.raises(Refused, match="tell the billing manager") as refused:
        lock(exchange, "100", BY_VOICEMAIL_PIN, voicemail_pin)
    assert isinstance(refused.value.__cause__, SetupError)


def test_it_hands_an_extension_over_without_its_pin(exchange: Exchange) -> None:
    exchange.ask("before", "102")
    give(exchange, _102=PIN)
    exchange.database.write(lambda c: stays.check_in(c, "102", 0, "Noor", MANAGER))
    assert opens(exchange, "102", PIN) is None
    told = look_up(exchange.database.path, "SELECT after FROM changes WHERE after LIKE '{_pin_%' ORDER BY id")
    assert told == [('{"pin": "changed"}',), ('{"pin": "removed"}',)]
    (newest,) = look_up(exchange.database.path, "SELECT max(id) FROM calls")
    assert look_up(exchange.database.path, "SELECT own_after_call FROM accounts WHERE extension = '102'") == [newest]


def test_it_keeps_the_pin_of_an_account_that_is_closed_for_when_it_is_back(exchange: Exchange) -> None:
    def write(job: Callable[[sqlite3.Connection], object]) -> None:
        exchange.database.write(job)

    give(exchange, _100=PIN)
    write(lambda c: accounts.close(c, "100", MANAGER))
    assert opens(exchange, "100", PIN) is None
    write(lambda c: accounts.add(c, "100", "", MANAGER))
    with pytest.raises(Refused, match="closed and is there again"):
        opens(exchange, "100", PIN)
    assert opens(exchange, "100", "735192") is None
    write(lambda c: accounts.answer_recreated(c, "100", "continue", MANAGER))
    assert opens(exchange, "100", PIN) is not None
