#!/usr/bin/env python3
"""A party sends packets of 10 ms, and its description asks for longer ones (`z`). The other party
hears the same samples in packets of that length, as one stream; also after a later description
without `z`. The argument names the case."""

import asyncio
import struct
import sys
from dataclasses import dataclass

import e2e
from audio import alaw_to_linear
from calls import RELAY
from direct import DirectStage
from media import RTCP, RTP, AudioSource

CALL = "short-packets@example"
SHORT = 80  # 10 ms of samples


@dataclass
class Case:
    description: str
    caller_is_short: bool
    modifier: str
    samples: int             # of the packets that are to leave


CASES = {
    "z20": Case("the caller's tens leave in twenties", True, "z20", 160),
    "z30": Case("the callee's tens leave in thirties", False, "z30", 240),
}


class ShortSource(AudioSource):
    interval_s = 0.010

    def packet(self, n):
        at = n * SHORT % len(self._voice)
        header = struct.pack("!BBHII", 0x80, 8 | (0x80 if n == 0 else 0),
                             (self._sequence + n) & 0xFFFF,
                             (self._timestamp + n * SHORT) & 0xFFFFFFFF, self.ssrc)
        return header + self._voice[at:at + SHORT]


def decoded(datagrams):
    return [alaw_to_linear(code) for datagram in datagrams for code in datagram[12:]]


def heads(datagrams):
    """Marker and type, sequence number, timestamp, SSRC."""
    return [struct.unpack("!xBHII", datagram[:12]) for datagram in datagrams]


def check_stream(captured, sent, samples, joined):
    """`captured` is the stream `sent`: packets of `samples` as long as `joined` of those sent
    went into them, afterwards as they were."""
    e2e.check(decoded(captured) == decoded(sent),
              f"{len(decoded(captured))} samples were heard, {len(decoded(sent))} sent, or others")
    told, first = heads(captured), heads(sent)[0]
    e2e.check({ssrc for *_, ssrc in told} == {first[3]}, "the stream has another SSRC")
    e2e.check(told[0] == first, f"it begins with {told[0]}, the sender did with {first}")
    e2e.check(all(kind == 8 for kind, *_ in told[1:]), "there is a marker, or a strange type")
    at = 0
    for n, (datagram, (_, sequence, timestamp, _)) in enumerate(zip(captured, told)):
        e2e.check(sequence == (first[1] + n) & 0xFFFF, f"packet {n} has sequence number {sequence}")
        e2e.check(timestamp == (first[2] + at) & 0xFFFFFFFF, f"a gap in time at packet {n}")
        length = len(datagram) - 12
        # The rest at the change may be shorter.
        expected = {samples} if at + samples <= joined else {SHORT, joined - at}
        e2e.check(length in expected, f"packet {n}, at {at} of {joined}, has {length} samples")
        at += length


async def test(lab):
    case = CASES[sys.argv[1]]
    print(case.description)
    stage = await DirectStage(lab).ready()
    alice = stage.party("alice", ShortSource if case.caller_is_short else AudioSource)
    bob = stage.party("bob", AudioSource if case.caller_is_short else ShortSource)
    short, other = (alice, bob) if case.caller_is_short else (bob, alice)
    party = "caller" if case.caller_is_short else "callee"
    modifiers = {"offer" if case.caller_is_short else "answer":
                 ("U" if case.caller_is_short else "L") + case.modifier}
    stage.call(CALL, alice, bob, **modifiers)
    other.capture = []
    short.listen_to(other)
    alice.start()
    bob.start()
    await asyncio.sleep(2.5)
    path = stage.path_of(CALL, party)
    e2e.check(path["plane"] == "user_space", f"packets to be joined take {path}")
    short.mute()
    await asyncio.sleep(0.3)  # the rest leaves
    joined = short.sent_count[RTP] * SHORT
    tail = sum(len(datagram) - 12 for _, datagram in other.capture)
    e2e.check(tail == joined, f"{tail} of {joined} samples were heard in the first half")
    again = "U" if case.caller_is_short else "L"
    port, = stage.ask(f"{again}c8,101 {CALL} {stage.where(short)} fromA;1 toB;1")
    e2e.check((RELAY, port) == other.remote[RTP], f"the second description was given port {port}")
    short.start()
    await asyncio.sleep(1)
    short.mute()
    other.mute()
    await asyncio.sleep(0.3)
    sent = [datagram for datagram, (kind, _) in short.sent.items() if kind == RTP]
    check_stream([datagram for _, datagram in other.capture], sent, case.samples, joined)
    for kind in (RTP, RTCP):
        numbers = short.heard[kind].numbers
        e2e.check(numbers == list(range(other.sent_count[kind])) and not short.strays,
                  f"the way back: {len(numbers)} of {other.sent_count[kind]} {kind}")
    stage.end(CALL)
    stage.close()
    e2e.figures(f"{len(sent)} packets sent, {len(other.capture)} heard, {len(decoded(sent))} "
                f"samples, all as sent; while joining: {path.get('reason')}")


if len(sys.argv) != 2 or sys.argv[1] not in CASES:
    sys.exit(f"expected one of: {' '.join(CASES)}")
e2e.run(test, limit_s=30)
