#!/usr/bin/env python3
"""Re-INVITEs inside a call: hold and resume, or one from the callee. The relay's ports stay what
they were, and whoever speaks is heard without a gap."""

import asyncio
import sys

import e2e
from calls import Pair, Script, Stage, aim
from media import Conversation
from sip import MOVED_BY, sdp


def start_of_call(script):
    return (script.event("inviting", message=False).invite(sdp()).receive(100, optional=True)
            .receive(180, optional=True).receive(200).ack().event("answered"))


def change(script, name, body):
    return (script.wait("may " + name, message=False).reinvite(body).receive(100, optional=True)
            .receive(200).ack().event(name))


def accept_change(script, name, body):
    return (script.receive("INVITE").event(name).reply("200 OK", body, reliable=True)
            .receive("ACK"))


def same_ports(before, now):
    told = [(m.kind, m.port) for m in now.media]
    e2e.check(told == [(m.kind, m.port) for m in before.media],
              f"'{now.name}' names other ports than '{before.name}': {told}")


async def hold(lab, hold_body, answer_body, music):
    """Alice holds, perhaps with music, and resumes."""
    stage = Stage(lab)
    alice_host = stage.phone_behind_nat("alice", 1)
    bob_host = stage.phone_behind_nat("bob", 2)
    await stage.ready()
    caller = change(start_of_call(Script("alice", "bob")), "hold", hold_body)
    caller = change(caller, "resume", sdp()).wait("may hang up", message=False).hang_up()
    callee = (Script("bob").receive("INVITE").event("invited")
              .reply("200 OK", sdp(), reliable=True).receive("ACK"))
    callee = accept_change(accept_change(callee, "held", answer_body), "resumed", sdp())
    pair = await Pair(stage, alice_host, bob_host, caller, callee.be_hung_up()).start()

    a, b, inviting = await pair.next_call()
    invited, answered = await b.expect("invited"), await a.expect("answered")
    conversation = pair.converse(answered, inviting.local_port, invited)
    await conversation.open()
    await conversation.talk(1)

    await a.expect("may hold")
    a.go()
    same_ports(invited, await b.expect("held"))
    same_ports(answered, await a.expect("hold"))
    conversation.callee.mute()
    if music:
        await conversation.talk(2)
    else:
        conversation.caller.mute()
        await asyncio.sleep(2)

    await a.expect("may resume")
    a.go()
    same_ports(invited, await b.expect("resumed"))
    same_ports(answered, await a.expect("resume"))
    conversation.caller.start()
    conversation.callee.start()
    await conversation.talk(1)
    figures = await conversation.finish()
    await a.expect("may hang up")
    a.go()
    await pair.finished()
    figures.check_perfect("hold", at_least=200 + 100 * music)
    stage.close()
    e2e.figures(figures)


async def callee_reinvites(lab, moves):
    """Bob re-INVITEs, with the same port or with another one."""
    stage = Stage(lab)
    alice_host = stage.phone_behind_nat("alice", 1)
    bob_host = stage.phone_behind_nat("bob", 2)
    await stage.ready()
    caller = accept_change(start_of_call(Script("alice", "bob")), "changed", sdp())
    caller = caller.wait("may hang up", message=False).hang_up()
    callee = (Script("bob").receive("INVITE").event("invited")
              .reply("200 OK", sdp(), reliable=True).receive("ACK"))
    pair = await Pair(stage, alice_host, bob_host, caller,
                      change(callee, "change", sdp(moved=moves)).be_hung_up()).start()
    a, b, inviting = await pair.next_call()
    invited, answered = await b.expect("invited"), await a.expect("answered")
    conversation = pair.converse(answered, inviting.local_port, invited)
    await conversation.open()
    await conversation.talk(1)
    await b.expect("may change")
    if moves:
        before = await conversation.pause()
        before.check_perfect("before the move", at_least=100)
    b.go()
    same_ports(answered, await a.expect("changed"))
    changed = await b.expect("change")
    same_ports(invited, changed)
    if moves:
        moved = stage.media_port(bob_host, invited.local_port + MOVED_BY)
        aim(moved, changed)
        conversation.callee.close()
        conversation = Conversation(conversation.caller, moved, "after the move")
        await conversation.open()
    await conversation.talk(1)
    figures = await conversation.finish()
    await a.expect("may hang up")
    a.go()
    await pair.finished()
    figures.check_perfect("re-INVITE of the callee", at_least=100 if moves else 200)
    stage.close()
    e2e.figures(figures)


CASES = {
    "hold": lambda lab: hold(lab, sdp("sendonly"), sdp("recvonly"), music=True),
    "hold_old_way": lambda lab: hold(lab, sdp("hold"), sdp(), music=False),
    "callee": lambda lab: callee_reinvites(lab, moves=False),
    "callee_moves": lambda lab: callee_reinvites(lab, moves=True),
}
if len(sys.argv) != 2 or sys.argv[1] not in CASES:
    sys.exit(f"expected one of: {' '.join(CASES)}")
e2e.run(CASES[sys.argv[1]])
