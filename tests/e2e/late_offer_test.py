#!/usr/bin/env python3
"""The caller offers nothing in its INVITE: the callee's 200 is the offer, the ACK the answer."""

import e2e
from calls import Pair, Script, Stage
from sip import sdp


async def test(lab):
    stage = Stage(lab)
    alice_host = stage.phone_behind_nat("alice", 1)
    bob_host = stage.public_phone("bob", 2)
    await stage.ready()
    caller = (Script("alice", "bob").event("inviting", message=False).invite()
              .receive(100, optional=True).receive(200).ack(sdp()).event("answered")
              .wait("may hang up", message=False).hang_up())
    callee = (Script("bob").receive("INVITE").reply("200 OK", sdp(), reliable=True)
              .receive("ACK").event("acknowledged").be_hung_up())
    pair = await Pair(stage, alice_host, bob_host, caller, callee).start()
    a, b, inviting = await pair.next_call()
    answered = await a.expect("answered")
    acknowledged = await b.expect("acknowledged")
    conversation = pair.converse(answered, inviting.local_port, acknowledged)
    await conversation.open()
    await conversation.talk(2)
    figures = await conversation.finish()
    await a.expect("may hang up")
    a.go()
    await pair.finished()
    figures.check_perfect("call", at_least=200)
    stage.close()
    e2e.figures(figures)


e2e.run(test)
