"""The FastAGI server: every peer is bounded, and none holds up another."""

import asyncio
import os
import resource
import socket
import struct
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack

import pytest

from coovox_billing.errors import SetupError
from coovox_billing.pbx import agi_server
from coovox_billing.pbx.agi_protocol import MAX_REQUEST_BYTES, Reply
from coovox_billing.pbx.agi_server import AgiServer, NotSent, PeerGone, Session
from tests.pbx.fake_asterisk import FakeAsterisk, connected, environment, is_closed, serving

seen: list[object] = []


async def _echo(session: Session, arguments: Mapping[str, str]) -> None:
    await session.set_variables({name.upper(): value for name, value in arguments.items()})


async def _fail(session: Session, arguments: Mapping[str, str]) -> None:
    raise ZeroDivisionError("a bug")


async def _ask(session: Session, arguments: Mapping[str, str]) -> None:
    try:
        seen.append(await session.command("DATABASE GET a b"))
    except PeerGone as error:
        seen.append(error)


async def _finish(session: Session, arguments: Mapping[str, str]) -> None:
    try:
        session.finish({"DONE": "1"})
        seen.append("finished")
    except NotSent as error:
        seen.append(error)


async def _finish_late(session: Session, arguments: Mapping[str, str]) -> None:
    await asyncio.sleep(0.1)
    await _finish(session, arguments)


async def _tell_much(session: Session, arguments: Mapping[str, str]) -> None:
    try:
        await session.command("NOOP " + "x" * 50_000_000)
    except PeerGone as error:
        seen.append(error)


async def _think(session: Session, arguments: Mapping[str, str]) -> None:
    await asyncio.sleep(0.2)
    await session.set_variables({"THOUGHT": "1"})


LAST = {"finish": _finish, "finish-late": _finish_late}


@pytest.fixture
def port(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    monkeypatch.setattr(agi_server, "REQUEST_SECONDS", 0.3)
    monkeypatch.setattr(agi_server, "SESSION_SECONDS", 0.6)
    monkeypatch.setattr(agi_server, "SWEEP_SECONDS", 0.05)
    seen.clear()
    with serving({"echo": _echo, "fail": _fail, "ask": _ask, "tell": _tell_much, "think": _think} | LAST) as opened:
        yield opened


def _is_served(port: int) -> bool:
    return FakeAsterisk(port).agi("echo", {"id": "1"}).variables == {"ID": "1"}


def _wait_for(condition: Callable[[], object], seconds: float = 5) -> bool:
    until = time.monotonic() + seconds
    while not condition() and time.monotonic() < until:
        time.sleep(0.01)
    return bool(condition())


def test_it_hands_a_request_to_the_handler_of_its_path(port: int) -> None:
    outcome = FakeAsterisk(port).agi("echo", {"id": "42", "word": "hello"})
    assert outcome.variables == {"ID": "42", "WORD": "hello"}
    assert outcome.commands == ['SET VARIABLE ARRAY(ID,WORD) "42,hello"']


def test_it_reads_a_request_that_comes_byte_by_byte(port: int) -> None:
    with connected(port) as peer:
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in environment("echo", {"id": "1"}):
            peer.sendall(bytes([byte]))
        assert peer.recv(100) == b'SET VARIABLE ARRAY(ID) "1"\n'


def test_it_closes_a_peer_that_says_nothing_while_others_are_served(port: int) -> None:
    with connected(port) as silent, connected(port) as halfway:
        halfway.sendall(b"agi_network: yes\n")
        began = time.monotonic()
        assert _is_served(port)
        assert time.monotonic() - began < 0.25
        assert is_closed(silent, 2)
        assert is_closed(halfway, 2)
        assert 0.2 < time.monotonic() - began < 1.5


def test_it_closes_a_peer_that_drips_its_request(port: int) -> None:
    began = time.monotonic()
    with connected(port) as peer, pytest.raises(ConnectionError):
        while time.monotonic() - began < 3:
            peer.sendall(b"agi_x: y\n")
            time.sleep(0.05)
    assert time.monotonic() - began < 1.5


def test_it_closes_a_peer_that_does_not_answer_a_command(port: int) -> None:
    with connected(port) as peer:
        peer.sendall(environment("ask", {}))
        assert peer.recv(100) == b"DATABASE GET a b\n"
        assert _is_served(port)
        assert is_closed(peer, 3)
    assert _wait_for(lambda: [type(one) for one in seen] == [PeerGone])


def test_it_tells_a_handler_that_asterisk_left(port: int) -> None:
    with connected(port) as peer:
        peer.sendall(environment("ask", {}))
        peer.recv(100)
    assert _wait_for(lambda: [type(one) for one in seen] == [PeerGone])


def test_it_hands_a_handler_the_reply(port: int) -> None:
    with connected(port) as peer:
        peer.sendall(environment("ask", {}))
        peer.recv(100)
        peer.sendall(b"HANGUP\n200 result=1 (found)\n")
        assert is_closed(peer, 2)
    assert seen == [Reply(200, 1, "found")]


def test_its_end_is_behind_the_last_command_and_it_takes_the_reply_still(port: int) -> None:
    with connected(port) as peer:
        peer.sendall(environment("finish", {}))
        assert peer.recv(100) == b'SET VARIABLE ARRAY(DONE) "1"\n'
        assert peer.recv(100) == b""
        peer.sendall(b"200 result=1\n")
        assert peer.recv(100) == b""
        assert peer.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0
    assert _wait_for(lambda: seen == ["finished"])
    assert _is_served(port)


def test_it_closes_a_peer_that_keeps_the_reply_to_the_last_command(port: int, caplog: pytest.LogCaptureFixture) -> None:
    with connected(port) as peer:
        peer.sendall(environment("finish", {}))
        assert peer.recv(100) == b'SET VARIABLE ARRAY(DONE) "1"\n'
        assert _wait_for(lambda: "too slow and is closed" in caplog.text)
    assert _is_served(port)


def test_it_says_that_the_last_command_was_not_sent_where_the_peer_has_left(port: int) -> None:
    with connected(port) as peer:
        peer.sendall(environment("finish-late", {}))
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    assert _wait_for(lambda: [type(one) for one in seen] == [NotSent])


def test_it_says_what_was_not_sent_to_a_peer_that_takes_nothing(port: int) -> None:
    """A hold whose answer was not sent is freed at once."""
    with connected(port) as peer:
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        peer.sendall(environment("tell", {}))
        assert _wait_for(lambda: [type(one) for one in seen] == [NotSent])


def test_it_hears_others_while_it_is_out_of_sockets(
    port: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(agi_server, "OUT_OF_SOCKETS_SECONDS", 0.2)
    with connected(port) as early:
        time.sleep(0.05)
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        late = [socket.socket() for _ in range(3)]
        resource.setrlimit(resource.RLIMIT_NOFILE, (len(os.listdir("/proc/self/fd")), hard))  # noqa: PTH208
        try:
            for peer in late:
                peer.connect(("127.0.0.1", port))
            early.sendall(environment("echo", {"id": "1"}))
            assert early.recv(100) == b'SET VARIABLE ARRAY(ID) "1"\n'
            assert _wait_for(lambda: "nobody else can ask" in caplog.text)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        for peer in late:
            peer.sendall(environment("echo", {"id": "2"}))
            assert peer.recv(100) == b'SET VARIABLE ARRAY(ID) "2"\n'
            peer.close()


def test_it_turns_away_more_sessions_than_it_can_hold(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that it still owes an answer keep their place."""
    monkeypatch.setattr(agi_server, "MAX_SESSIONS", 2)
    with connected(port) as first, connected(port) as second:
        for peer in (first, second):
            peer.sendall(environment("think", {}))
        time.sleep(0.05)
        with connected(port) as third:
            assert is_closed(third, 2)
        for peer in (first, second):
            assert peer.recv(100) == b'SET VARIABLE ARRAY(THOUGHT) "1"\n'
        assert _try(port)


def test_it_answers_a_question_while_peers_that_do_not_reply_hold_all_sessions(
    port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(agi_server, "MAX_SESSIONS", 20)
    monkeypatch.setattr(agi_server, "SESSION_SECONDS", 10)
    with ExitStack() as crowd:
        peers = [crowd.enter_context(connected(port)) for _ in range(20)]
        for peer in peers:
            peer.sendall(environment("ask", {}))
            assert peer.recv(100) == b"DATABASE GET a b\n"
        began = time.monotonic()
        for _ in range(5):
            assert _try(port)
        assert time.monotonic() - began < 2
        assert is_closed(peers[0], 2)
        peers[-1].sendall(b"200 result=1 (found)\n")
        assert _wait_for(lambda: Reply(200, 1, "found") in seen)


def test_it_makes_room_by_closing_a_session_that_has_asked_nothing(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agi_server, "MAX_SESSIONS", 2)
    monkeypatch.setattr(agi_server, "REQUEST_SECONDS", 5)
    with connected(port) as first, connected(port):
        time.sleep(0.05)
        assert _try(port)
        assert is_closed(first, 2)


def test_it_hears_only_who_may_ask() -> None:
    server = AgiServer({}, allowed={"192.0.2.7"})
    assert [server.may_ask(peer) for peer in ("127.0.0.1", "::1", "192.0.2.7", "192.0.2.8")] == [
        True,
        True,
        True,
        False,
    ]


def _try(port: int) -> bool:
    try:
        return _is_served(port)
    except ConnectionError:
        return False


NONSENSE = {
    "a web browser": b"GET / HTTP/1.1\r\nHost: pbx\r\n\r\n",
    "binary": bytes(range(256)) * 4,
    "a TLS hello": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\n",
    "a line without end": b"agi_x: " + b"x" * MAX_REQUEST_BYTES,
    "lines without end": b"agi_x: y\n" * MAX_REQUEST_BYTES,
    "arguments without names": b"agi_network_script: echo\nagi_arg_1: 42\n\n",
    "an unknown path": environment("status", {}),
    "no path": b"\n",
    "a path of many": environment("../echo", {}),
    "a reply to no command": environment("think", {}) + b"200 result=1\n",
    "no reply": environment("ask", {}) + b"what?\n",
}


@pytest.mark.parametrize("data", NONSENSE.values(), ids=NONSENSE.keys())
def test_it_closes_a_peer_that_talks_nonsense_and_goes_on(port: int, data: bytes) -> None:
    with connected(port) as peer:
        peer.sendall(data)
        peer.settimeout(0.25)
        assert _read_to_the_end(peer) in (b"", b"DATABASE GET a b\n")
    assert _is_served(port)


def _read_to_the_end(peer: socket.socket) -> bytes:
    heard = b""
    try:
        while data := peer.recv(4096):
            heard += data
    except ConnectionError:
        pass
    return heard


def test_it_closes_the_session_of_a_handler_that_failed_and_goes_on(port: int) -> None:
    outcome = FakeAsterisk(port).agi("fail", {})
    assert (outcome.commands, outcome.variables) == ([], {})
    assert _is_served(port)


def test_it_serves_many_at_once(port: int) -> None:
    began = time.monotonic()
    peers = [socket.create_connection(("127.0.0.1", port), 5) for _ in range(100)]
    for peer in peers:
        peer.sendall(environment("think", {}))
    for peer in peers:
        assert peer.recv(100) == b'SET VARIABLE ARRAY(THOUGHT) "1"\n'
        peer.close()
    assert time.monotonic() - began < 2


def test_it_says_what_to_do_when_its_port_is_taken(port: int) -> None:
    with pytest.raises(SetupError, match="COOVOX_AGI_LISTEN"):
        asyncio.run(AgiServer({}).start("127.0.0.1", port))


def test_it_ends_its_sessions_when_it_stops() -> None:
    with serving({"echo": _echo}) as opened:
        peer = socket.create_connection(("127.0.0.1", opened), 5)
        time.sleep(0.05)
    assert is_closed(peer, 2)
    peer.close()
    with pytest.raises(ConnectionError):
        socket.create_connection(("127.0.0.1", opened), 1)
