#!/usr/bin/env python3
"""Calls that never come about, by CANCEL or by 486: the relay keeps nothing of them."""

import sys

import e2e
from calls import Pair, Script, Stage
from sip import sdp


async def cancelled(lab):
    caller = (Script("alice", "bob").event("inviting", message=False).invite(sdp())
              .receive(100, optional=True).receive(183).event("early")
              .wait("may cancel", message=False).cancel().receive(200).receive(487)
              .ack_of_refusal())
    callee = (Script("bob").receive("INVITE").event("invited").reply("183 Progress", sdp())
              .receive("CANCEL").reply("200 OK").refuse_cancelled().receive("ACK"))
    stage, pair = await ring(lab, caller, callee)
    a, b, inviting = await pair.next_call()
    invited, early = await b.expect("invited"), await a.expect("early")
    conversation = pair.converse(early, inviting.local_port, invited)
    await conversation.open()
    await conversation.talk(0.5)
    stage.check_session(a.call_id, invited.from_tag)
    figures = await conversation.finish()
    await a.expect("may cancel")
    a.go()
    await pair.finished()
    figures.check_perfect("before the CANCEL", at_least=50)
    await end(stage, a, invited)


async def busy(lab):
    caller = (Script("alice", "bob").event("inviting", message=False).invite(sdp())
              .receive(100, optional=True).receive(180).receive(486).ack_of_refusal())
    callee = (Script("bob").receive("INVITE").event("invited").reply("180 Ringing")
              .wait("may refuse").reply("486 Busy Here", reliable=True).receive("ACK"))
    stage, pair = await ring(lab, caller, callee)
    a, b, _ = await pair.next_call()
    invited = await b.expect("invited")
    await b.expect("may refuse")
    stage.check_session(a.call_id, invited.from_tag)
    b.go()
    await pair.finished()
    await end(stage, a, invited)


async def ring(lab, caller, callee):
    stage = Stage(lab)
    alice_host = stage.phone_behind_nat("alice", 1)
    bob_host = stage.public_phone("bob", 2)
    await stage.ready()
    return stage, await Pair(stage, alice_host, bob_host, caller, callee).start()


async def end(stage, call, invited):
    await stage.until_gone(call.call_id, invited.from_tag)
    stage.close()


CASES = {"cancel": cancelled, "busy": busy}
if len(sys.argv) != 2 or sys.argv[1] not in CASES:
    sys.exit(f"expected one of: {' '.join(CASES)}")
e2e.run(CASES[sys.argv[1]])
