"""The second factor: set up, codes that work once, recovery codes, a clock that is wrong."""

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coovox_billing.errors import BadInput, Refused
from coovox_billing.services import second_factor
from coovox_billing.services.accounts import Person
from coovox_billing.services.second_factor import RECOVERY_CODES, STEP_MS
from coovox_billing.store.database import Database
from tests import cast
from tests.telephone import Telephone

ANN = Person("bill-ann", "192.0.2.9", cast.NOW_MS)
OWNER = Person("owner", "192.0.2.1", cast.NOW_MS)


@pytest.fixture(scope="module", autouse=True)
def _released_before_the_story() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(second_factor, "RELEASED_MS", cast.NOW_MS - 86_400_000)
        yield


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    with cast.move_in(tmp_path) as moved_in:
        yield moved_in


def at(steps: float, person: Person = ANN) -> Person:
    """The same person, some steps of 30 s later."""
    return replace(person, now_ms=person.now_ms + int(steps * STEP_MS))


def set_up(database: Database, person: Person = ANN) -> tuple[Telephone, list[str]]:
    """A telephone with the secret, confirmed one step ago, and the recovery codes."""
    telephone = Telephone(database.write(lambda c: second_factor.begin(c, person)))
    before = at(-2, person)
    return telephone, database.write(lambda c: second_factor.confirm(c, telephone.code(before.now_ms), before))


def use(database: Database, code: str, person: Person = ANN) -> bool:
    return database.write(lambda c: second_factor.use(c, code, person))


def test_it_computes_codes_as_the_standard_does() -> None:
    """RFC 6238, appendix B, SHA-1: the last six of its eight digits."""
    telephone = Telephone("GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ")
    seconds = (59, 1111111109, 1111111111, 1234567890, 2000000000, 20000000000)
    assert [telephone.code(second * 1000) for second in seconds] == [
        "287082", "081804", "050471", "005924", "279037", "353130"
    ]  # fmt: skip


def test_it_tells_the_telephone_whose_secret_it_is(database: Database) -> None:
    secret = database.write(lambda c: second_factor.begin(c, ANN))
    told = urlsplit(second_factor.address("bill-ann", secret))
    assert (told.scheme, told.netloc, unquote(told.path)) == ("otpauth", "totp", "/CooVox Billing:bill-ann")
    assert parse_qs(told.query) == {"secret": [secret], "issuer": ["CooVox Billing"]}
    assert re.fullmatch(r"[A-Z2-7]{32}", secret)


def test_it_asks_for_nothing_before_the_first_code(database: Database) -> None:
    telephone = Telephone(database.write(lambda c: second_factor.begin(c, ANN)))
    assert not use(database, telephone.code(ANN.now_ms))
    for wrong in ("", "000000", "12345", "abcdef", telephone.code(ANN.now_ms + 10 * STEP_MS)):
        with pytest.raises(BadInput, match="6 digits"):
            database.write(lambda c, wrong=wrong: second_factor.confirm(c, wrong, ANN))
    assert len(database.write(lambda c: second_factor.confirm(c, telephone.code(ANN.now_ms), ANN))) == RECOVERY_CODES


def test_it_confirms_once(database: Database) -> None:
    telephone, _codes = set_up(database)
    with pytest.raises(Refused, match="begin again"):
        database.write(lambda c: second_factor.confirm(c, telephone.code(ANN.now_ms), ANN))
    with pytest.raises(Refused, match="already"):
        database.write(lambda c: second_factor.begin(c, ANN))


def test_it_begins_again_with_another_secret(database: Database) -> None:
    first = Telephone(database.write(lambda c: second_factor.begin(c, ANN)))
    second = Telephone(database.write(lambda c: second_factor.begin(c, ANN)))
    with pytest.raises(BadInput):
        database.write(lambda c: second_factor.confirm(c, first.code(ANN.now_ms), ANN))
    database.write(lambda c: second_factor.confirm(c, second.code(ANN.now_ms), ANN))


@pytest.mark.parametrize(("drift", "right"), [(-2, False), (-1, True), (0, True), (1, True), (2, False)])
def test_it_takes_a_clock_that_is_one_step_off(database: Database, drift: int, right: bool) -> None:
    telephone, _codes = set_up(database, at(-10))
    assert use(database, telephone.code(at(drift).now_ms)) is right


def test_it_takes_a_code_as_people_write_it(database: Database) -> None:
    telephone, _codes = set_up(database)
    code = telephone.code(ANN.now_ms)
    assert use(database, f" {code[:3]} {code[3:]} ")


def test_it_takes_a_code_once(database: Database) -> None:
    telephone, _codes = set_up(database)
    code = telephone.code(ANN.now_ms)
    assert [use(database, code), use(database, code), use(database, code, at(0.5))] == [True, False, False]


def test_it_takes_no_code_that_is_older_than_one_that_was_used(database: Database) -> None:
    telephone, _codes = set_up(database)
    assert use(database, telephone.code(at(1).now_ms))
    assert not use(database, telephone.code(ANN.now_ms))


def test_it_takes_the_code_that_confirmed_for_no_sign_in(database: Database) -> None:
    telephone = Telephone(database.write(lambda c: second_factor.begin(c, ANN)))
    code = telephone.code(ANN.now_ms)
    database.write(lambda c: second_factor.confirm(c, code, ANN))
    assert not use(database, code)


def test_it_takes_nobody_elses_code(database: Database) -> None:
    telephone, codes = set_up(database)
    set_up(database, OWNER)
    assert not use(database, telephone.code(ANN.now_ms), OWNER)
    assert not use(database, codes[0], OWNER)


def test_it_takes_each_recovery_code_once(database: Database) -> None:
    _telephone, codes = set_up(database)
    assert len(set(codes)) == RECOVERY_CODES
    for code in codes:
        assert [use(database, code.upper().replace("-", " ")), use(database, code)] == [True, False]
    assert not use(database, codes[0])


def test_it_takes_recovery_codes_while_the_clock_is_wrong(database: Database) -> None:
    telephone, codes = set_up(database)
    in_1970 = replace(ANN, now_ms=5_000)
    assert second_factor.is_clock_wrong(in_1970.now_ms)
    assert not second_factor.is_clock_wrong(cast.NOW_MS)
    assert not use(database, telephone.code(ANN.now_ms), in_1970)
    assert not use(database, telephone.code(in_1970.now_ms), in_1970)
    assert use(database, codes[0], in_1970)


def test_it_sets_nothing_up_while_the_clock_is_wrong(database: Database) -> None:
    with pytest.raises(Refused, match="clock of this machine is wrong"):
        database.write(lambda c: second_factor.begin(c, replace(ANN, now_ms=5_000)))


def test_it_replaces_the_recovery_codes(database: Database) -> None:
    _telephone, old = set_up(database)
    new = database.write(lambda c: second_factor.renew_recovery_codes(c, ANN))
    assert not use(database, old[0])
    assert use(database, new[0])


def test_it_turns_off_with_all_that_belongs_to_it(database: Database) -> None:
    telephone, codes = set_up(database)
    database.write(lambda c: second_factor.turn_off(c, "bill-ann", OWNER))
    assert not use(database, telephone.code(ANN.now_ms))
    assert not use(database, codes[0])
    for table in ("second_factors", "recovery_codes"):
        assert cast.look_up(database.path, f"SELECT * FROM {table}") == []
    for job in (
        lambda c: second_factor.turn_off(c, "bill-ann", OWNER),
        lambda c: second_factor.renew_recovery_codes(c, ANN),
    ):
        with pytest.raises(Refused, match="no second factor"):
            database.write(job)


def test_it_takes_no_unconfirmed_one_for_a_second_factor(database: Database) -> None:
    database.write(lambda c: second_factor.begin(c, ANN))
    with pytest.raises(Refused, match="no second factor"):
        database.write(lambda c: second_factor.turn_off(c, "bill-ann", OWNER))


def test_it_enters_what_happened_in_the_audit_log_but_no_secret_and_no_code(database: Database) -> None:
    telephone, codes = set_up(database)
    use(database, codes[0])
    database.write(lambda c: second_factor.renew_recovery_codes(c, ANN))
    database.write(lambda c: second_factor.turn_off(c, "bill-ann", OWNER))
    set_up(database, OWNER)
    found = cast.look_up(
        database.path, "SELECT actor, what, before, after FROM changes WHERE after LIKE '%_co%' ORDER BY id"
    )
    assert [(who, what, json.loads(old), json.loads(new)) for who, what, old, new in found] == [
        ("bill-ann", "user bill-ann", {"second_factor": False}, {"second_factor": True}),
        ("bill-ann", "user bill-ann", {"recovery_codes": 10}, {"recovery_codes": 9}),
        ("bill-ann", "user bill-ann", {}, {"recovery_codes": "changed"}),
        ("owner", "user bill-ann", {"second_factor": True}, {"second_factor": False}),
        ("owner", "owner", {"second_factor": False}, {"second_factor": True}),
    ]
    told = str(cast.look_up(database.path, "SELECT * FROM changes"))
    assert telephone.secret not in told
    assert not any(code in told for code in codes)


def test_it_keeps_recovery_codes_as_hashes(database: Database, tmp_path: Path) -> None:
    _telephone, codes = set_up(database)
    kept = b"".join(file.read_bytes() for file in tmp_path.iterdir())
    assert not any(code.encode() in kept or code.replace("-", "").encode() in kept for code in codes)


@settings(max_examples=150)
@given(text=st.text(max_size=30) | st.from_regex(r"\s*[0-9]{5,7}\s*", fullmatch=True) | st.characters())
def test_it_takes_nothing_else(shared: tuple[Database, Telephone], text: str) -> None:
    database, telephone = shared
    near = {telephone.code(at(drift).now_ms) for drift in (-1, 0, 1)}
    assert "".join(text.split()).replace("-", "") in near or not use(database, text)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Database, Telephone]]:
    with cast.move_in(tmp_path_factory.mktemp("site")) as database:
        yield database, set_up(database, at(-10))[0]
