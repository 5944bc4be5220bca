"""Decides what a telephone or a trunk says and hears: RTP with ulaw, one faint tone out, everything that comes in kept.

Times are seconds since 1970, as in the trace of the SIP messages.
"""

from __future__ import annotations

import math
import os
import re
import socket
import struct
import threading
import time
import wave
from array import array
from bisect import bisect
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.asterisk.ports import free_port
from tests.asterisk.trace import Message

RATE = 8000
FRAME_SAMPLES, FRAME_SECONDS = 160, 0.02
WINDOW_SAMPLES = RATE // 10
LATE_SECONDS = 0.06
PCMU = 0
HEADER_BYTES = 12
# A frame holds whole waves of these alone, so that frames follow each other without a click.
FREQUENCY_STEP_HZ = 50


def _decoded(byte: int) -> int:
    """G.711: a byte of ulaw as a sample of 16 bits."""
    inverted = ~byte & 0xFF
    size = (((inverted & 0x0F) << 3) + 0x84 << (inverted >> 4 & 7)) - 0x84
    return -size if inverted & 0x80 else size


DECODED = [_decoded(byte) for byte in range(256)]
_STEPS = sorted((value, byte) for byte, value in enumerate(DECODED))


def encoded(samples: Sequence[int]) -> bytes:
    """Samples of 16 bits as ulaw, each as the step below it."""
    return bytes(_STEPS[max(bisect(_STEPS, (sample, 256)) - 1, 0)][1] for sample in samples)


def tone(hertz: int, loudness: float, seconds: float) -> list[int]:
    """A sine of that root mean square, from 0 to 23000."""
    peak = loudness * math.sqrt(2)
    return [round(peak * math.sin(2 * math.pi * hertz * at / RATE)) for at in range(round(seconds * RATE))]


@dataclass(frozen=True)
class Sound:
    """Samples of 16 bits, 8000 a second."""

    samples: Sequence[int]

    @property
    def loudness(self) -> float:
        """Root mean square: 0 for silence, some thousands for a voice."""
        return math.sqrt(sum(sample * sample for sample in self.samples) / max(len(self.samples), 1))

    @property
    def course(self) -> list[float]:
        """The loudness of each 100 ms."""
        return [part.loudness for part in self._windows()]

    @property
    def loudest(self) -> Sound:
        """The 100 ms that are loudest."""
        return max(self._windows(), key=lambda part: part.loudness)

    @property
    def frequency_hz(self) -> int:
        """The strongest of 50, 100, 150 ... Hz."""
        return max(range(FREQUENCY_STEP_HZ, RATE // 2, FREQUENCY_STEP_HZ), key=self.strength)

    @property
    def purity(self) -> float:
        """How much of its power is in its strongest frequency: 1 for a lone tone, far less for a voice."""
        return (self.strength(self.frequency_hz) / max(self.loudness, 1.0)) ** 2

    def strength(self, hertz: int) -> float:
        """The loudness of one frequency in it (Goertzel)."""
        factor = 2 * math.cos(2 * math.pi * hertz / RATE)
        last = before = 0.0
        for sample in self.samples:
            last, before = sample + factor * last - before, last
        power = last * last + before * before - factor * last * before
        return math.sqrt(2 * max(power, 0.0)) / max(len(self.samples), 1)

    def write(self, path: Path) -> None:
        """A .wav for a person to listen to."""
        with wave.open(str(path), "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(RATE)
            file.writeframes(struct.pack(f"<{len(self.samples)}h", *self.samples))

    def _windows(self) -> list[Sound]:
        starts = range(0, len(self.samples), WINDOW_SAMPLES)
        return [Sound(self.samples[start : start + WINDOW_SAMPLES]) for start in starts]


class Media:
    """One end of a call's audio: `with Media("127.0.0.8") as media:`, and its port into the SDP."""

    def __init__(self, address: str, port: int | None = None) -> None:
        self.address, self.port = address, port or free_port(address)
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._frames: list[tuple[float, bytes]] = []
        self._over = threading.Event()
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> Self:
        self._socket.bind((self.address, self.port))
        self._socket.settimeout(FRAME_SECONDS)
        self._run(self._listen)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()
        self._socket.close()

    def talk(self, messages: Iterable[Message], hertz: int, loudness: float = 100.0) -> None:
        """From now on send a tone to where the last of these SIP messages wants it."""
        frame = encoded(tone(hertz, loudness, FRAME_SECONDS))
        self._run(self._send, audio_address(messages), frame)

    def heard(self, start: float, end: float) -> Sound:
        """What arrived in that time; silence where nothing did."""
        samples = array("h")
        for at, payload in list(self._frames):
            if not start <= at < end:
                continue
            behind = round((at - start) * RATE) - len(samples)
            if behind > LATE_SECONDS * RATE:
                samples.extend([0] * behind)
            samples.extend(DECODED[byte] for byte in payload)
        missing = round((end - start) * RATE) - len(samples)
        samples.extend([0] * missing)
        return Sound(samples)

    def keep(self, path: Path) -> None:
        """All that was heard, as a .wav beside the logs, where KEEP_PBX is set."""
        if "KEEP_PBX" in os.environ and self._frames:
            self.heard(self._frames[0][0], self._frames[-1][0] + FRAME_SECONDS).write(path)

    def _run(self, target: Callable[..., None], *arguments: object) -> None:
        thread = threading.Thread(target=target, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _listen(self) -> None:
        while not self._over.is_set():
            try:
                packet = self._socket.recv(2048)
            except TimeoutError:
                continue
            if packet[1] & 0x7F == PCMU:
                self._frames.append((time.time(), packet[HEADER_BYTES:]))

    def _send(self, address: tuple[str, int], frame: bytes) -> None:
        began = time.monotonic()
        number = 0
        while not self._over.wait(max(began + number * FRAME_SECONDS - time.monotonic(), 0)):
            header = struct.pack(">BBHII", 0x80, PCMU, number & 0xFFFF, number * FRAME_SAMPLES, self.port)
            self._socket.sendto(header + frame, address)
            number += 1


def audio_address(messages: Iterable[Message]) -> tuple[str, int]:
    """Where the other side listens, as it said last."""
    received = [message.text for message in messages if message.direction == "received"]
    text = next(text for text in reversed(received) if "m=audio" in text)
    address = re.search(r"^c=IN IP4 (\S+)", text, re.MULTILINE)
    port = re.search(r"^m=audio (\d+)", text, re.MULTILINE)
    assert address and port, text
    return address[1], int(port[1])
