#!/usr/bin/env python3
"""Kamailio plays a prompt to one party of a call with rtpproxy_stream2uac or rtpproxy_stream2uas.
That party alone hears it, byte for byte, and all the time one stream: one SSRC, no sequence number
missing or twice, as tshark says, too. The argument names the case."""

import asyncio
import json
import random
import re
import struct
import sys
from dataclasses import dataclass

import e2e
from calls import Pair, Script, Stage, answering
from media import RTP
from netlab import require
from sip import sdp

PACKET_BYTES = 80  # 10 ms


@dataclass
class Case:
    description: str
    start: str               # what Kamailio is asked
    caller_hears: bool
    times: int               # the prompt is played; 0: until it is stopped


CASES = {
    "caller": Case("the caller hears it twice, and then the callee again", "uac", True, 2),
    "callee": Case("the callee hears it until it is stopped", "uas", False, 0),
}


def calling():
    return (Script("alice", "bob").event("inviting", message=False).invite(sdp())
            .receive(100, optional=True).receive(180, optional=True).receive(200).ack()
            .event("answered").wait("may start", message=False)
            .request("INFO", header=f"X-Prompt: start-{CASES[sys.argv[1]].start}").receive(200)
            .wait("may stop", message=False)
            .request("INFO", header=f"X-Prompt: stop-{CASES[sys.argv[1]].start}").receive(200)
            .wait("may hang up", message=False).hang_up())


def fields(datagram):
    """Sequence number, SSRC and payload of an RTP packet without CSRC and extension."""
    return (*struct.unpack("!2xH4xI", datagram[:12]), datagram[12:])


def write_capture(path, datagrams):
    """As a pcap file of IPv4 packets (LINKTYPE_RAW)."""
    with open(path, "wb") as file:
        file.write(struct.pack("=IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 101))
        for at, datagram in datagrams:
            udp = struct.pack("!HHHH", 30000, 40000, 8 + len(datagram), 0) + datagram
            ip = struct.pack("!BBHHHBBHII", 0x45, 0, 20 + len(udp), 0, 0, 64, 17, 0, 0xC000020A,
                             0xC0000265)
            file.write(struct.pack("=IIII", int(at), int(at % 1 * 1e6), len(ip + udp),
                                   len(ip + udp)) + ip + udp)


def check_one_stream(lab, captured):
    """What the listener heard, by its headers, and by tshark."""
    numbers = [fields(d)[0] for _, d in captured]
    ssrcs = {fields(d)[1] for _, d in captured}
    e2e.check(len(ssrcs) == 1, f"the listener heard {len(ssrcs)} streams: {ssrcs}")
    wrong = [(a, b) for a, b in zip(numbers, numbers[1:]) if (b - a) & 0xFFFF != 1]
    e2e.check(not wrong, f"sequence numbers that do not follow one another: {wrong[:5]}")
    path = lab.directory / "heard.pcap"
    write_capture(path, captured)
    text = lab.run("relay", "tshark", "-r", path, "-d", "udp.port==30000,rtp", "-q", "-z",
                   "rtp,streams")
    rows = [line for line in text.splitlines() if "0x" in line]
    e2e.check(len(rows) == 1 and re.search(r"\s0 \(0\.0%\)", rows[0]),
              f"tshark does not see one stream without loss:\n{text}")
    return rows[0].split()


def check_prompt(captured, spoken, prompt, times):
    """Between what the other party has said lies the prompt, whole, so often; 0: as often as it
    went, and a piece. Returns the number of its packets."""
    is_prompt = [fields(d)[2] not in spoken for _, d in captured]
    first, count = is_prompt.index(True), sum(is_prompt)
    e2e.check(all(is_prompt[first:first + count]), "the other party was heard in mid-prompt")
    played = b"".join(fields(d)[2] for _, d in captured[first:first + count])
    expected = prompt * (times or len(played) // len(prompt) + 1)
    e2e.check(played == (expected if times else expected[:len(played)]),
              f"{len(played)} bytes were heard, not {times} times the {len(prompt)} of the prompt")
    marked = [n for n, (_, d) in enumerate(captured[first:first + count]) if d[1] & 0x80]
    e2e.check(marked == [0], f"markers on packets {marked} of the prompt")
    return count


def path_of(stage, call_id, party):
    reply = stage.control.send(f"J session {call_id}")
    return json.loads(reply)["sessions"][0][party]["path"]


async def test(lab):
    require("tshark")
    case = CASES[sys.argv[1]]
    print(case.description)
    prompts = lab.directory / "prompts"
    prompts.mkdir()
    prompt = random.Random(1).randbytes(50 * PACKET_BYTES)
    (prompts / "hello.8").write_bytes(prompt + b"rest")
    (lab.directory / "outside.8").write_bytes(prompt)
    stage = Stage(lab, options=("--prompt-dir", prompts))
    alice_host, bob_host = stage.phone_behind_nat("alice", 1), stage.public_phone("bob", 2)
    await stage.ready()
    pair = await Pair(stage, alice_host, bob_host, calling(), answering()).start()
    a, b, inviting = await pair.next_call()
    invited, answered = await b.expect("invited"), await a.expect("answered")
    conversation = pair.converse(answered, inviting.local_port, invited)
    await conversation.open()
    caller, callee = conversation.caller, conversation.callee
    listener, speaker = (caller, callee) if case.caller_hears else (callee, caller)
    listener.capture = []
    await conversation.talk(1.5)  # long enough to go into the kernel, where there is one
    party = "callee" if case.caller_hears else "caller"  # who is replaced
    before = path_of(stage, a.call_id, party)

    await a.expect("may start")
    a.go()
    await a.expect("may stop")
    await asyncio.sleep(0.3)
    heard_before = len(listener.heard[RTP].numbers)
    during = path_of(stage, a.call_id, party)
    e2e.check(during["plane"] == "user_space" and
              ("prompt" in during["reason"] or before["plane"] == "user_space"),
              f"while the prompt plays its listener's packets take {during}")
    await asyncio.sleep(0.9 if case.times else 1.2)
    if not case.times:
        e2e.check(len(listener.heard[RTP].numbers) == heard_before, "the other party was heard")
    a.go()
    await a.expect("may hang up")
    await conversation.talk(1.5)
    after = path_of(stage, a.call_id, party)
    counters = stage.control.send("G npkts_played nplrs_created nplrs_destroyed")
    # What the speaker hears is untouched; the listener's part is looked at here.
    figures = await conversation.finish()
    lost = conversation.lost()[listener.name, speaker.name, RTP]
    e2e.check(not lost and not speaker.strays, f"the party that hears no prompt: {figures}")
    spoken = {fields(d)[2] for d, (kind, _) in speaker.sent.items() if kind == RTP}
    packets = check_prompt(listener.capture, spoken, prompt, case.times)
    row = check_one_stream(lab, listener.capture)
    e2e.check(counters == f"{packets} 1 1", f"G tells {counters}, {packets} packets were heard")
    out = stage.control.send(f"P {a.call_id} ../outside 8 {invited.from_tag};1")
    e2e.check(out == "E60", f"a prompt outside the directory was answered {out}")
    a.go()
    await pair.finished()
    stage.close()
    e2e.figures(f"{len(listener.capture)} packets heard, {packets} of them the prompt's; tshark: "
                f"{' '.join(row)}")
    e2e.figures(f"way of the replaced party: {before['plane']}, then {during['plane']}, then "
                f"{after['plane']} ({after.get('reason', '')})")


if len(sys.argv) != 2 or sys.argv[1] not in CASES:
    sys.exit(f"expected one of: {' '.join(CASES)}")
e2e.run(test)
