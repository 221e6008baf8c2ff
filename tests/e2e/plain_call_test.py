#!/usr/bin/env python3
"""One call through Kamailio and the relay; the argument says who is where. No packet may be lost,
changed, or come from anywhere but the relay."""

import sys
from dataclasses import dataclass

import e2e
from calls import RELAY, RELAY6, UDP_CONTROL, Pair, Stage, answering, calling
from media import Figures
from sip import sdp


@dataclass
class Case:
    description: str
    caller: str = "public"
    callee: str = "public"
    unix: bool = False
    video: bool = False
    mux: bool = False


CASES = {
    "public": Case("two public phones"),
    "nat_caller": Case("caller behind a NAT that changes ports", caller="nat"),
    "nat_callee": Case("callee behind a NAT that changes ports", callee="nat"),
    "nat_both": Case("both behind NATs that change ports", caller="nat", callee="nat"),
    "nat_keeps_ports": Case("both behind NATs that keep ports", caller="tame", callee="tame"),
    "unix_control": Case("one-shot Unix control socket", caller="nat", unix=True),
    "audio_video": Case("audio and video, one of them behind a NAT", caller="nat", video=True),
    "rtcp_mux": Case("RTCP on the RTP port on both sides", caller="nat", mux=True),
    "ipv6_caller": Case("the relay joins an IPv6 caller and an IPv4 callee", caller="ipv6"),
    "ipv6_callee": Case("the relay joins an IPv4 caller and an IPv6 callee", callee="ipv6"),
}


def phone(stage, name, number, where):
    if where == "public":
        return stage.public_phone(name, number)
    if where == "ipv6":
        return stage.ipv6_phone(name, number)
    return stage.phone_behind_nat(name, number, random_ports=where == "nat")


async def test(lab):
    case = CASES[sys.argv[1]]
    print(case.description)
    bridging = "ipv6" in (case.caller, case.callee)
    stage = Stage(lab, control=f"unix:{lab.directory}/control.sock" if case.unix else UDP_CONTROL,
                  flags="x" if bridging else "",
                  local_addresses=("-l", RELAY, "-6", "/" + RELAY6) if bridging else ("-l", RELAY))
    alice_host = phone(stage, "alice", 1, case.caller)
    bob_host = phone(stage, "bob", 2, case.callee)
    await stage.ready()

    body = sdp(video=case.video, mux=case.mux)
    pair = await Pair(stage, alice_host, bob_host, calling(body), answering(body)).start()
    a, b, inviting = await pair.next_call()
    invited = await b.expect("invited")
    answered = await a.expect("answered")
    stage.check_session(a.call_id, invited.from_tag)
    relays = [RELAY6 if w == "ipv6" else RELAY for w in (case.caller, case.callee)]
    conversations = [pair.converse(answered, inviting.local_port, invited, medium,
                                   f"medium {medium + 1}", case.mux, relays)
                     for medium in range(1 + case.video)]
    total = Figures()
    for conversation in conversations:
        await conversation.open()
    await conversations[0].talk(3)
    for conversation in conversations:
        total.add(await conversation.finish())
    await a.expect("may hang up")
    a.go()
    await pair.finished()
    total.check_perfect(case.description, at_least=300)
    stage.close()
    e2e.figures(total)


if len(sys.argv) != 2 or sys.argv[1] not in CASES:
    sys.exit(f"expected one of: {' '.join(CASES)}")
e2e.run(test)
