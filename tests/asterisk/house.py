"""A house that transfers, forwards, parks and confers: its dialplan, its scenes, and who paid for them."""

from __future__ import annotations

import time
from collections import Counter
from datetime import datetime
from typing import Any

from tests.asterisk.billing import SALES, BilledPbx, steps
from tests.asterisk.sip import PhoneCall
from tests.asterisk.trace import Leg
from tests.asterisk.waiting import wait_until

PEOPLE = {str(number): f"Phone {number}" for number in range(100, 110)}
OUTSIDE_CALLER = "0790000000"
TRUNKS = {"Trunk 1": "trunk", "Trunk 2": "trunk2"}
TALK_SECONDS = 1.2
SLACK_SECONDS = 0.2
LONG_MS = 15_000
BEFORE_MS = 300

DIALPLAN = """
[globals]
COOVOX_AGI=agi://127.0.0.1:{agi_port}

[from-internal]
include => parkedcalls
; 9 + number: one trunk. 8 + number: a second one if nobody answers. 10X: a phone, which inherits who began.
exten => _9X.,1,Gosub(coovox-billing-dial,s,1(${{EXTEN}},PJSIP/${{EXTEN:1}}@trunk,30,T,Trunk 1))
 same => n,Hangup()
exten => _8X.,1,Gosub(coovox-billing-dial,s,1(${{EXTEN}},PJSIP/${{EXTEN:1}}@trunk,30,,Trunk 1))
 same => n,Gosub(coovox-billing-dial,s,1(${{EXTEN}},PJSIP/${{EXTEN:1}}@trunk2,30,,Trunk 2))
 same => n,Hangup()
exten => _10X,1,Gosub(begin,s,1)
 same => n,Dial(PJSIP/${{EXTEN}},30,tT)
exten => 300,1,Answer()
 same => n,ConfBridge(300)
; 40 + number: forwarded there, and told who began the call. 41: not told. 42: 105 pays.
exten => _40X.,1,Gosub(begin,s,1)
 same => n,Dial(Local/${{EXTEN:2}}@from-internal,30)
exten => _41X.,1,Dial(Local/${{EXTEN:2}}@from-internal,30)
exten => _42X.,1,Dial(Local/${{EXTEN:2}}@paid-by-105,30)
; 50 + number: follow-me of 102, whose mobile that is. 51 + number: a group with 105's mobile in it.
exten => _50X.,1,Gosub(begin,s,1)
 same => n,Dial(PJSIP/102&Local/${{EXTEN:2}}@from-internal/n,30)
exten => _51X.,1,Dial(PJSIP/102&PJSIP/107&Local/${{EXTEN:2}}@paid-by-105/n,30)

; As asterisk/README.md recommends it: what rings by Local inherits who caused it.
[begin]
exten => s,1,Set(LOCAL(cause)=${{CHANNEL(name)}})
 same => n,GotoIf($["${{CHANNEL(channeltype)}}" != "Local"]?own)
 same => n,Set(LOCAL(cause)=${{COOVOX_ORIGIN}})
 same => n,ExecIf($["${{ATTENDEDTRANSFER}}" != ""]?Set(LOCAL(cause)=${{ATTENDEDTRANSFER}}))
 same => n,ExecIf($["${{FORWARDERNAME}}" != ""]?Set(LOCAL(cause)=${{FORWARDERNAME}}))
 same => n(own),ExecIf($["${{BLINDTRANSFER}}" != ""]?Set(LOCAL(cause)=${{BLINDTRANSFER}}))
 same => n,Set(__COOVOX_ORIGIN=${{cause}})
 same => n,Return()

[paid-by-105]
exten => _X.,1,Set(COOVOX_PAYER=105)
 same => n,Goto(from-internal,${{EXTEN}},1)

[from-trunk]
exten => _10X,1,Dial(PJSIP/${{EXTEN}},30,tT)
exten => _[45]X.,1,Goto(from-internal,${{EXTEN}},1)
; 60 + number: straight out again.
exten => _60X.,1,Gosub(coovox-billing-dial,s,1(${{EXTEN:2}},PJSIP/${{EXTEN:3}}@trunk,30,,Trunk 1))
 same => n,Hangup()

#include {shipped}
"""


class Scene:
    """What happens in the house from here on: its outside legs, their rows, and what each extension spent."""

    def __init__(self, site: BilledPbx) -> None:
        self.site = site
        self._balances = self._read_balances()
        self._rows_before = {row["id"] for row in site.billing.calls()}
        self._legs_before: set[str] = set()
        self._legs_before |= {leg.call_id for leg in self._legs(*TRUNKS.values(), "phones")}

    def call(self, number: str, caller: str = SALES, **options: Any) -> PhoneCall:
        """A telephone dials, or somebody behind a trunk; unless told otherwise the caller stays on the line."""
        from_user = OUTSIDE_CALLER if caller in TRUNKS.values() else None
        return self.site.phone(number, caller, **{"hang_up_after_ms": LONG_MS, "from_user": from_user, **options})

    def act(self, action: str, device: str, **fields: object) -> None:
        """Asterisk's manager does something with the channel of an extension's phone."""
        self.site.pbx.act(action, Channel=self.channel_of(device), **fields)

    def channel_of(self, device: str) -> str:
        """The channel on which the phone of an extension, or a trunk, talks."""
        return self.site.pbx.channel_of(f"PJSIP/{device}")

    def devices(self) -> list[str]:
        """Whose channels are live."""
        return sorted(name.rpartition("-")[0] for name in self.site.pbx.channels())

    def originate(self, channel: str, number: str, **fields: object) -> None:
        """A program calls somebody and connects them with a number of the house."""
        place = {"Context": "from-internal", "Exten": number, "Priority": 1}
        self.site.pbx.act("Originate", Channel=channel, Async="true", **place, **fields)

    def talk(self, number: str, seconds: float = TALK_SECONDS) -> None:
        """Until the outside leg of that number has lasted so long."""
        leg = wait_until(lambda: next(iter(self.answered_legs(number)), None), 10, f"{number} answers")
        assert leg.answered_at is not None
        time.sleep(max(0.0, leg.answered_at + seconds - time.time()))

    def end(self, device: str = "") -> None:
        """All hang up, or the phone of that extension."""
        self.site.pbx.cli(f"channel request hangup {self.channel_of(device) if device else 'all'}")

    def hang_up_once(self, number: str, status: int) -> None:
        """Sales leaves as soon as that number, inside or outside, rings (180) or has answered (200)."""
        wait_until(lambda: status in self._statuses(number), what=f"{status} of {number}")
        time.sleep(SLACK_SECONDS)
        self.end(SALES)

    def answered_legs(self, number: str = "") -> list[Leg]:
        """The outside legs that were answered, to that number as dialed or to any."""
        legs = [leg for leg in self._legs(*TRUNKS.values()) if leg.answered]
        return [leg for leg in legs if number in ("", f"9{leg.number}", f"8{leg.number}")]

    def rows(self) -> list[dict[str, Any]]:
        """The calls of this scene, once all is over."""
        self.site.pbx.wait_idle()
        return wait_until(self._closed_rows, 10, "the calls are closed")

    def assert_paid(self, *paid: tuple[str, str]) -> list[dict[str, Any]]:
        """Of each outside call one row: (who paid, number as dialed). Nobody else spent anything."""
        rows = self.rows()
        assert sorted((row["extension"], row["number"]) for row in rows) == sorted(paid), rows
        assert len(self.answered_legs()) == len(rows)
        for row in rows:
            _assert_true(row, *self.answered_legs(row["number"]))
            _assert_priced(row)
        assert self.spent() == _costs(rows)
        return rows

    def assert_unpaid(self, number: str) -> None:
        """One row for the one outside call, of nobody and at no cost."""
        (row,) = self.rows()
        (leg,) = self.answered_legs()
        _assert_true(row, leg)
        assert (row["extension"], row["number"], row["reason"]) == ("", number, "no-payer")
        assert (row["cost"], self.spent()) == ("0.0000", {})

    def spent(self) -> dict[str, int]:
        """What is gone from the balances, in 1/10,000; who spent nothing is left out."""
        now = self._read_balances()
        return {number: before - now[number] for number, before in self._balances.items() if before != now[number]}

    def _closed_rows(self) -> list[dict[str, Any]]:
        rows = [row for row in self.site.billing.calls() if row["id"] not in self._rows_before]
        return rows if all(row["state"] not in ("held", "talking") for row in rows) else []

    def _read_balances(self) -> dict[str, int]:
        return {row["number"]: steps(row["balance"]) for row in self.site.billing.read("extension", "list")}

    def _statuses(self, number: str) -> set[int | None]:
        legs = [leg for leg in self._legs(*TRUNKS.values(), "phones") if leg.number in (number, number[1:])]
        return {message.status for leg in legs for message in leg.messages}

    def _legs(self, *names: str) -> list[Leg]:
        """What was called of these since the scene began; the trunks' own calls in are not among it."""
        legs = [leg for name in names for leg in self.site.pbx.trunk_calls(name)]
        return [leg for leg in legs if leg.call_id not in self._legs_before]


def send_by_keys(scene: Scene, number: str, target: str) -> PhoneCall:
    """Sales calls a number and sends whoever answers on to the target; so do the next two."""
    return scene.call(number, keys=f"#1{target}#", refer_after_ms=BEFORE_MS)


def send_by_manager(scene: Scene, number: str, target: str) -> PhoneCall:
    call = _begin(scene, number)
    scene.act("BlindTransfer", SALES, Context="from-internal", Exten=target)
    return call


def send_by_refer(scene: Scene, number: str, target: str) -> PhoneCall:
    return scene.call(number, refer_to=target, refer_after_ms=BEFORE_MS, hang_up_after_ms=200)


def join_by_keys(scene: Scene, first: str, second: str) -> PhoneCall:
    """Sales calls a number, then a second one, then joins them and is out; so do the next two."""
    call = scene.call(first, keys=f"*2{second}#", refer_after_ms=BEFORE_MS)
    scene.hang_up_once(second, 200)
    return call


def join_by_manager(scene: Scene, first: str, second: str) -> PhoneCall:
    call = _begin(scene, first)
    scene.act("Atxfer", SALES, Context="from-internal", Exten=f"{second}#")
    scene.hang_up_once(second, 200)
    return call


def join_by_refer(scene: Scene, first: str, second: str) -> PhoneCall:
    return scene.call(first, consult=second, refer_after_ms=BEFORE_MS, hang_up_after_ms=200)


def _begin(scene: Scene, number: str) -> PhoneCall:
    call = scene.call(number)
    call.wait_answered()
    time.sleep(BEFORE_MS / 1000)
    return call


def _assert_true(row: dict[str, Any], leg: Leg) -> None:
    """A line that a person understands, as long as the trunk's own messages say."""
    assert leg.talk_seconds is not None
    assert -SLACK_SECONDS < leg.talk_seconds - row["talk_seconds"] < 1 + SLACK_SECONDS
    asked, answered, ended = (datetime.fromisoformat(row[name]) for name in ("asked_at", "answered_at", "ended_at"))
    assert asked <= answered < ended
    assert row["trunk"] in TRUNKS
    assert (row["state"], row["settled_late"], row["flags"], row["held"]) == ("settled", False, [], "0.0000")


def _assert_priced(row: dict[str, Any]) -> None:
    assert (row["name"], row["reason"], row["uncollected"]) == (PEOPLE[row["extension"]], "", "0.0000")
    assert row["rate"]["remark"].endswith("by the second")
    assert steps(row["cost"]) == 100 * row["talk_seconds"] > 0


def _costs(rows: list[dict[str, Any]]) -> dict[str, int]:
    costs: Counter[str] = Counter()
    for row in rows:
        costs[row["extension"]] += steps(row["cost"])
    return dict(costs)
