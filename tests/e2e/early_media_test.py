#!/usr/bin/env python3
"""The callee's 183 has SDP and both speak before the 200; the 200 changes nothing."""

import e2e
from calls import Pair, Script, Stage
from sip import sdp


async def test(lab):
    stage = Stage(lab)
    alice_host = stage.phone_behind_nat("alice", 1)
    bob_host = stage.public_phone("bob", 2)
    await stage.ready()
    caller = (Script("alice", "bob").event("inviting", message=False).invite(sdp())
              .receive(100, optional=True).receive(183).event("early").receive(200).ack()
              .event("answered").wait("may hang up", message=False).hang_up())
    callee = (Script("bob").receive("INVITE").event("invited").reply("183 Progress", sdp())
              .wait("may answer").reply("200 OK", sdp(), reliable=True).receive("ACK")
              .be_hung_up())
    pair = await Pair(stage, alice_host, bob_host, caller, callee).start()
    a, b, inviting = await pair.next_call()
    invited, early = await b.expect("invited"), await a.expect("early")
    conversation = pair.converse(early, inviting.local_port, invited)
    await conversation.open()
    await conversation.talk(1)
    await b.expect("may answer")
    b.go()
    answered = await a.expect("answered")
    e2e.check(answered.media == early.media,
              f"183 named {early.media}, then 200 named {answered.media}")
    await conversation.talk(1)
    figures = await conversation.finish()
    await a.expect("may hang up")
    a.go()
    await pair.finished()
    figures.check_perfect("early media", at_least=200)
    stage.close()
    e2e.figures(figures)


e2e.run(test)
