"""AI endpoints beside a DirectStage, and what of them a party hears."""

import asyncio
import json
import os
import pathlib
import struct
from collections import namedtuple

from case import check
from media import Conversation
from netlab import CannotRun

PYTHON = "/usr/bin/python3"  # has Debian's websockets
LISTEN = "127.0.0.1:8765"

Packet = namedtuple("Packet", "time sequence ssrc type payload")


def packet_of(time, datagram):
    _, kind, sequence, _, ssrc = struct.unpack("!BBHII", datagram[:12])
    return Packet(time, sequence, ssrc, kind & 0x7F, datagram[12:])


def check_one_stream(packets, name):
    ssrcs = {packet.ssrc for packet in packets}
    check(len(ssrcs) == 1, f"{name} heard {len(ssrcs)} streams: {ssrcs}")
    jumps = [(a.sequence, b.sequence) for a, b in zip(packets, packets[1:])
             if (b.sequence - a.sequence) & 0xFFFF != 1]
    check(not jumps, f"{name}: sequence numbers that do not follow one another: {jumps[:5]}")


class Endpoint:
    """The scripted endpoints as a process on the relay's host; their log as it grows."""

    folder = pathlib.Path(__file__).resolve().parent

    def __init__(self, lab, program="voice_endpoint.py", arguments=(LISTEN,)):
        if os.system(f"{PYTHON} -c 'import websockets' 2>/dev/null"):
            raise CannotRun("python3-websockets is not installed")
        self._log = lab.directory / "endpoint.log"
        self._process = lab.start("relay", PYTHON, self.folder / program, *arguments,
                                  output=self._log)

    def events(self, call=None, event=None):
        """What it has told, of one call and kind if given."""
        lines = self._log.read_text().splitlines() if self._log.exists() else []
        told = [json.loads(line) for line in lines if line.startswith("{") and line.endswith("}")]
        return [e for e in told if call in (None, e["call"]) and event in (None, e["event"])]

    async def wait_for(self, event, call=None, timeout_s=20.0):
        for _ in range(int(timeout_s / 0.05)):
            check(self._process.poll() is None, f"the endpoint ended:\n{self._log.read_text()}")
            if found := self.events(call, event):
                return found[0]
            await asyncio.sleep(0.05)
        check(False, f"the endpoint told no {event} of {call} within {timeout_s} s:\n"
                     f"{self._log.read_text()[-2000:]}")


async def connect_to_ai(stage, call_id, caller, callee, profile, **offer):
    """A call whose parties hear each other, and whose caller then has an AI to talk to; what the
    caller gets from there on is captured."""
    stage.call(call_id, caller, callee, **offer)
    talk = Conversation(caller, callee, call_id)
    await talk.open()
    caller.capture = []
    reply = stage.control.send(f"P1 {call_id} ai:{profile} session fromA;1 toB;1")
    check(reply == "0", f"{call_id}: P was answered '{reply}'")
    return talk


def notices(stage, call_id=None):
    """What the voice sessions have told, of one call if given."""
    told, last = [], 0
    while page := json.loads(stage.control.send(f"J events {last}"))["events"]:
        told += page
        last = page[-1]["number"]
    return [n for n in told if call_id in (None, n["call_id"])]


async def wait_for_notice(stage, call_id, wanted, timeout_s=20.0):
    """The first notice of this call that has all that `wanted` has."""
    for _ in range(int(timeout_s / 0.05)):
        for notice in notices(stage, call_id):
            if wanted.items() <= notice.items():
                return notice
        await asyncio.sleep(0.05)
    check(False, f"no notice {wanted} of {call_id} within {timeout_s} s, but "
                 f"{[(n['event'], n.get('error', '')) for n in notices(stage, call_id)]}")
