#!/usr/bin/env python3
"""`M3:1`: the keys that both parties press are told to a listener, in OpenSIPS' form, over the
transport that the argument names. The caller's presses reach the callee like all else; the callee's,
asked for with `h`, do not reach the caller."""

import asyncio
import struct
import sys

import e2e
from calls import RELAY
from direct import DirectStage
from media import RTCP, RTP, AudioSource

CALL = "keys@example"
TYPE = {"caller": 101, "callee": 96}
TAG = "Dd421.0f400b55"
SPACING, PACKETS, ENDS = 25, 6, 3  # packets from press to press, of a press, of these with the end
TRANSPORTS = ("unix", "tcp")


class KeySource(AudioSource):
    """Speech with key presses (RFC 4733) in between, of 640 timestamp units each."""
    payload_type, digits, volume = TYPE["caller"], "5*0D", 10

    def press_of(self, n):
        """Which press packet n belongs to, and its place in it; None for speech."""
        index, place = n // SPACING - 1, n % SPACING
        return (index, place) if 0 <= index < len(self.digits) and place < PACKETS else None

    def packet(self, n):
        press = self.press_of(n)
        if press is None:
            return super().packet(n)
        index, place = press
        began = (index + 1) * SPACING * 160
        header = struct.pack("!BBHII", 0x80, self.payload_type | (0x80 if place == 0 else 0),
                             (self._sequence + n) & 0xFFFF,
                             (self._timestamp + began) & 0xFFFFFFFF, self.ssrc)
        ended = place >= PACKETS - ENDS
        event = "0123456789*#ABCD".index(self.digits[index])
        return header + struct.pack("!BBH", event, self.volume | (0x80 if ended else 0),
                                    640 if ended else 160 * (place + 1))


class CalleeKeys(KeySource):
    payload_type, digits, volume = TYPE["callee"], "#1A", 63


class Listener:
    """The proxy's event socket."""

    def __init__(self, lab, transport):
        self._lab, self._transport, self.text = lab, transport, ""
        lab.add_host("proxy", "192.0.2.20")
        self.name = (f"unix:{lab.directory}/events.sock" if transport == "unix"
                     else "tcp:192.0.2.20:18001")

    async def listen(self):
        if self._transport == "unix":
            self._server = await asyncio.start_unix_server(self._on_connection, self.name[5:])
            return
        with self._lab.inside("proxy"):
            self._server = await asyncio.start_server(self._on_connection, "192.0.2.20", 18001)

    async def _on_connection(self, reader, writer):
        while data := await reader.read(4096):
            self.text += data.decode()
        writer.close()

    def lines(self, side):
        return [line for line in self.text.splitlines() if line.endswith(f" {side}")]


def told(source, side):
    return [f"{TAG} {digit} {source.volume} 640 {side}" for digit in source.digits]


async def test(lab):
    listener = Listener(lab, sys.argv[1])
    await listener.listen()
    stage = await DirectStage(lab, "-n", listener.name).ready()
    alice, bob = stage.party("alice", KeySource), stage.party("bob", CalleeKeys)
    # With the payload type left out, and the tag `I` of a proxy that wants no time-outs.
    stage.call(CALL, alice, bob, offered=f" {listener.name} I && M3:1 {TAG}",
               answered=f" && M3:1 {TAG} {TYPE['callee']} h")
    alice.listen_to(bob)
    bob.listen_to(alice)
    alice.start()
    bob.start()
    await asyncio.sleep(SPACING * (len(KeySource.digits) + 1) * 0.02 + 0.5)
    ways = [stage.path_of(CALL, party) for party in ("caller", "callee")]
    alice.mute()
    bob.mute()
    await asyncio.sleep(0.3)
    for side, source in enumerate((KeySource, CalleeKeys)):
        e2e.check(listener.lines(side) == told(source, side),
                  f"told were {listener.lines(side)}, expected {told(source, side)}")
    wanted = len(KeySource.digits) + len(CalleeKeys.digits)
    e2e.check(listener.text.count("\n") == wanted and listener.text.endswith("\n"),
              f"{wanted} lines were expected: {listener.text!r}")
    hidden = [n for datagram, (kind, n) in bob.sent.items()
              if kind == RTP and datagram[1] & 0x7F == TYPE["callee"]]
    e2e.check(len(hidden) == PACKETS * len(CalleeKeys.digits), "the callee has not pressed all")
    for hearer, speaker, without in ((bob, alice, []), (alice, bob, hidden)):
        for kind in (RTP, RTCP):
            expected = [n for n in range(speaker.sent_count[kind])
                        if kind == RTCP or n not in without]
            e2e.check(hearer.heard[kind].numbers == expected and not hearer.strays,
                      f"{hearer.name} heard {len(hearer.heard[kind].numbers)} of {len(expected)} "
                      f"{kind}, and {hearer.strays[:3]}")
    counts = stage.control.send(f"Qv {CALL} fromA;1 toB;1 npkts_ina npkts_ino nrelayed ndropped")
    stage.end(CALL)
    stage.close()
    e2e.figures(f"{wanted} presses told, {len(hidden)} packets hidden; {counts}")
    e2e.figures("; ".join(f"{way['plane']} {way.get('reason', '')}" for way in ways))


if len(sys.argv) != 2 or sys.argv[1] not in TRANSPORTS:
    sys.exit(f"expected one of: {' '.join(TRANSPORTS)}")
e2e.run(test, limit_s=30)
