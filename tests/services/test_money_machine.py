"""Whatever happens in whatever order, the money is right.

A machine lets people recharge, edit, lock and deactivate, the dialplan ask,
settle, give up and withdraw, and calls be answered and lengthened: repeated,
reordered, with clocks that stepped. After every step the audit must be silent,
no charge may take more than the call's hold and what was available, and no call
is promised more than is held for it.
"""

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, rule

from coovox_billing.core.money import format_amount
from coovox_billing.core.payer import Origin
from coovox_billing.core.rating import cost_micros
from coovox_billing.store import finished_periods, reads, writes
from tests.cast import CITY_NUMBER, RATES, Exchange, a_rate

extensions = st.sampled_from(["100", "101"] * 3 + ["102", "103"])
numbers = st.sampled_from([CITY_NUMBER, "004420"] * 3 + ["080012345", "7777", "112", "not a number"])
call_ids = st.sampled_from([str(number) for number in range(8)])
talks = st.sampled_from([0, 1, 59, 60, 61, 600, 3_000, 100_000])
amounts = st.sampled_from([100, 10_000, 1_000_000, 37_000_000])
alone = st.sampled_from([""] * 3 + ["passed", "refused", "emergency"])
elapsed = st.none() | st.sampled_from([0.0, 61.7, 599.999, 10_000.0])
since_answer = st.none() | st.sampled_from([0.0, 59.4, 600.0, 90_000.0])
edits = st.one_of(
    st.fixed_dictionaries({"credit": (st.just(0) | amounts).map(format_amount)}),
    st.fixed_dictionaries({"billing": st.booleans()}),
    st.fixed_dictionaries({"status": st.sampled_from(["locked", "unlocked"])}),
    st.fixed_dictionaries({"payment_type": st.sampled_from(["prepaid", "postpaid"])}),
)


site_settings = st.sampled_from(
    [
        ("grace_seconds", "0"),
        ("grace_seconds", "120"),
        ("longest_call_seconds", "90"),
        ("longest_call_seconds", "14400"),
        ("locking_ends_calls", "yes"),
        ("locking_ends_calls", "no"),
    ]
)


def _dialed_by(extension: str) -> Origin:
    return Origin(f"PJSIP/{extension}-0000000a")


def _transferred_by(extension: str) -> Origin:
    return Origin("PJSIP/carrier-0000000b", transferer_channel=f"PJSIP/{extension}-0000000a")


class Money(RuleBasedStateMachine):
    """The cast's exchange under arbitrary use."""

    asked = Bundle("asked")

    def __init__(self) -> None:
        super().__init__()
        self.directory = TemporaryDirectory()
        self.exchange: Exchange | None = None
        self.callers: dict[str, tuple[str, str]] = {}

    @initialize()
    def move_in(self) -> None:
        self.exchange = Exchange(Path(self.directory.name))

    def teardown(self) -> None:
        if self.exchange is not None:
            self.exchange.database.close()
        self.directory.cleanup()

    @property
    def here(self) -> Exchange:
        assert self.exchange is not None
        return self.exchange

    @rule(extension=extensions, micros=amounts)
    def recharge(self, extension: str, micros: int) -> None:
        self.here.recharge(extension, format_amount(micros))

    @rule(extension=extensions, changes=edits)
    def edit(self, extension: str, changes: dict[str, Any]) -> None:
        self.here.change(extension, **changes)

    @rule(
        rate_id=st.sampled_from([rate.id for rate in RATES]),
        initial=st.sampled_from([0, 123_456, 2_000_000]),
        seconds=st.sampled_from([0, 60]),
        price=st.sampled_from([0, 1, 77, 1_000_000]),
        unit=st.sampled_from([1, 55]),
        active=st.booleans(),
    )
    def edit_rate(self, rate_id: int, initial: int, seconds: int, price: int, unit: int, active: bool) -> None:
        rate = a_rate(
            initial_cost_micros=initial,
            initial_seconds=seconds,
            rate_micros=price,
            unit_seconds=unit,
            active=active,
        )
        self.here.database.write(lambda connection: writes.update_rate_price(connection, rate_id, rate))

    @rule(on=st.booleans())
    def switch(self, on: bool) -> None:
        self.here.switch(on)

    @rule()
    def sum_up(self) -> None:
        """The month counts as over, though its calls go on: each of them makes it wait again."""
        self.here.database.write(lambda connection: finished_periods.finish(connection, "2026-03"))

    @rule(day=st.sampled_from(["2026-03-01", "2026-03-02", "2026-03-03"]))
    def sum_up_a_day(self, day: str) -> None:
        """With all the time up to its end; calls of it go on too."""
        self.here.database.write(lambda connection: finished_periods.finish(connection, day))

    @rule(name_and_text=site_settings)
    def set(self, name_and_text: tuple[str, str]) -> None:
        self.here.set(*name_and_text)

    @rule(
        target=asked,
        call_id=call_ids,
        extension=extensions,
        number=numbers,
        by_stretches=st.booleans(),
        is_transfer=st.booleans(),
    )
    def ask(self, call_id: str, extension: str, number: str, by_stretches: bool, is_transfer: bool) -> str:
        """Dialed by the extension, or by a blind transfer that it sent an outside caller on."""
        extension, number = self.callers.setdefault(call_id, (extension, number))
        already = self._held_by(call_id)
        origin = _transferred_by(extension) if is_transfer else _dialed_by(extension)
        answer = self.here.ask(call_id, extension, number, by_stretches, origin=origin)
        held = self._held_by(call_id)
        assert answer.passes or held == 0 or self._state_of(call_id) == "talking"
        if held > already:
            assert self._available(extension) >= 0
        assert self._unchanged(lambda: self.here.ask(call_id, extension, number, by_stretches, origin=origin)) == answer
        return call_id

    @rule(call_id=asked | call_ids)
    def answer(self, call_id: str) -> None:
        held = self._held_by(call_id)
        self.here.answer(call_id)
        assert self._held_by(call_id) == held
        self._unchanged(lambda: self.here.answer(call_id))

    @rule(talked=st.dictionaries(call_ids, talks, max_size=4))
    def look_ahead(self, talked: dict[str, int]) -> None:
        """What is bought is paid for by what was free, and once it is bought there is nothing more to do."""
        before = self._accounts()
        seconds = {f"_{call_id}": talk for call_id, talk in talked.items()}
        outlooks = self.here.review(**seconds)
        for extension, after in self._accounts().items():
            if after["held"] > before[extension]["held"]:
                assert after["balance"] + after["credit"] >= after["held"]
        assert set(outlooks) == {call_id for call_id in talked if self._state_of(call_id) in ("held", "talking")}
        self._unchanged(lambda: self.here.review(**seconds))

    @rule(
        call_id=asked | call_ids,
        talk=talks,
        elapsed=elapsed,
        since_answer=since_answer,
        alone=alone,
        extension=extensions,
        number=numbers,
    )
    def settle(
        self,
        call_id: str,
        talk: int,
        elapsed: float | None,
        since_answer: float | None,
        alone: str,
        extension: str,
        number: str,
    ) -> None:
        extension, number = self.callers.setdefault(call_id, (extension, number))
        before = self._accounts()
        held, charged = self._held_by(call_id), self._charged_by_rule(call_id)
        leg: dict[str, Any] = {"alone": alone, "device": f"PJSIP/{extension}", "number": number}
        self.here.settle(call_id, talk, elapsed, since_answer, **leg)
        self._check_charges(before, held, charged)
        assert self.here.call(call_id)["state"] == "settled"
        self._unchanged(lambda: self.here.settle(call_id, talk + 60, elapsed, **leg))

    @rule(call_id=asked, talk=talks)
    def settle_with_a_clock_that_stepped_back(self, call_id: str, talk: int) -> None:
        self.callers.setdefault(call_id, ("100", CITY_NUMBER))
        before, held, charged = self._accounts(), self._held_by(call_id), self._charged_by_rule(call_id)
        self.here.settle(call_id, talk, 30.0, ended_ms=0)
        self._check_charges(before, held, charged)
        assert self.here.call(call_id)["talk_seconds"] >= 0

    @rule(call_id=asked)
    def tell_of_a_leg_that_nobody_answered(self, call_id: str) -> None:
        self._unchanged(lambda: self.here.settle(call_id, None))

    @rule(call_id=asked | call_ids, alone=alone)
    def give_up(self, call_id: str, alone: str) -> None:
        extension, number = self.callers.setdefault(call_id, ("101", CITY_NUMBER))
        leg = {"alone": alone, "device": f"PJSIP/{extension}", "number": number}
        self.here.give_up(call_id, **leg)
        assert self._held_by(call_id) == 0 or self._state_of(call_id) == "talking"
        self._unchanged(lambda: self.here.give_up(call_id, **leg))

    @rule(call_id=asked | call_ids, extension=extensions, number=numbers)
    def begin_alone(self, call_id: str, extension: str, number: str) -> None:
        extension, number = self.callers.setdefault(call_id, (extension, number))
        before, held = self._accounts(), self._held_by(call_id)
        self.here.begin_alone(call_id, device=f"PJSIP/{extension}", number=number)
        self._check_charges(before, held)
        assert self._held_by(call_id) == held
        self._unchanged(lambda: self.here.begin_alone(call_id, device=f"PJSIP/{extension}", number=number))

    @rule(call_id=asked, talk=talks)
    def lose(self, call_id: str, talk: int) -> None:
        """Closed by rule, an answered call is charged for no more than it held."""
        before, held, state = self._accounts(), self._held_by(call_id), self._state_of(call_id)
        self.here.lose(call_id, talk)
        self._check_charges(before, held)
        assert self._held_by(call_id) == 0
        if state in ("held", "talking"):
            assert "lost" in self.here.call(call_id)["flags"].split()
            assert held == 0 or self.here.call(call_id)["uncollected_micros"] == 0
        self._unchanged(lambda: self.here.lose(call_id, talk + 60))

    @rule(call_id=asked)
    def withdraw(self, call_id: str) -> None:
        self.here.withdraw(call_id)
        assert self._held_by(call_id) == 0 or self._state_of(call_id) == "talking"
        self._unchanged(lambda: self.here.withdraw(call_id))

    @invariant()
    def the_money_is_right(self) -> None:
        if self.exchange is not None:
            assert self.exchange.findings() == []

    @invariant()
    def what_is_promised_is_held_for(self) -> None:
        if self.exchange is not None:
            for promised, hold, rate in self._rows(
                "SELECT promised_seconds, hold_micros, rate FROM calls"
                " WHERE state IN ('held', 'talking') AND promised_seconds IS NOT NULL"
            ):
                assert cost_micros(reads.rate_of_snapshot(rate), promised) <= hold

    def _check_charges(self, before: dict[str, dict[str, int]], held: int, charged_by_rule: int = 0) -> None:
        """A charge took no more than the call's hold and what was available beside it.

        Only what was charged by rule is ever given back.
        """
        for extension, after in self._accounts().items():
            earlier = before.get(extension, {"balance": 0, "credit": 0, "held": 0})
            charged = earlier["balance"] - after["balance"]
            available = earlier["balance"] + earlier["credit"] - earlier["held"]
            assert -charged_by_rule <= charged <= max(0, held + available)
            if charged > 0:
                assert after["balance"] >= -after["credit"]

    def _accounts(self) -> dict[str, dict[str, int]]:
        rows = self._rows("SELECT extension, balance_micros, credit_micros, held_micros FROM accounts")
        return {row[0]: dict(zip(("balance", "credit", "held"), row[1:], strict=True)) for row in rows}

    def _available(self, extension: str) -> int:
        account = self._accounts()[extension]
        return account["balance"] + account["credit"] - account["held"]

    def _held_by(self, call_id: str) -> int:
        rows = self._rows("SELECT hold_micros FROM calls WHERE call_id = ?", call_id)
        return int(rows[0][0]) if rows else 0

    def _charged_by_rule(self, call_id: str) -> int:
        rows = self._rows(
            "SELECT cost_micros - uncollected_micros FROM calls WHERE call_id = ? AND flags LIKE '%lost%'", call_id
        )
        return int(rows[0][0]) if rows else 0

    def _state_of(self, call_id: str) -> str | None:
        rows = self._rows("SELECT state FROM calls WHERE call_id = ?", call_id)
        return str(rows[0][0]) if rows else None

    def _unchanged(self, action: Callable[[], Any]) -> Any:
        before = [self._state(table) for table in ("accounts", "ledger", "calls", "daily_extension_totals")]
        returned = action()
        after = [self._state(table) for table in ("accounts", "ledger", "calls", "daily_extension_totals")]
        assert after == before
        return returned

    def _state(self, table: str) -> list[tuple[Any, ...]]:
        return self._rows(f"SELECT * FROM {table} ORDER BY 1, 2")

    def _rows(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        return self.here.database.write(lambda connection: [tuple(row) for row in connection.execute(query, values)])


TestMoney = Money.TestCase
TestMoney.settings = settings(
    max_examples=35,
    stateful_step_count=40,
    phases=[Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink],
    report_multiple_bugs=False,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
