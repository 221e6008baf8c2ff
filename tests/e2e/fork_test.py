#!/usr/bin/env python3
"""Bob has two phones and Kamailio rings both. Both send early media, the second one refuses, the
first one answers: the refusal of one branch must not end the other's media."""

import e2e
from calls import Script, Stage, aim
from media import Conversation
from sip import sdp


async def speak(stage, alice, alice_event, bob, bob_event, label):
    aim(alice, alice_event)
    aim(bob, bob_event)
    conversation = Conversation(alice, bob, label)
    await conversation.open()
    await conversation.talk(1)
    return await conversation.pause()


async def test(lab):
    stage = Stage(lab)
    alice_host = stage.phone_behind_nat("alice", 1)
    desk_host = stage.public_phone("desk", 2)
    mobile_host = stage.phone_behind_nat("mobile", 3)
    await stage.ready()
    for host in (desk_host, mobile_host):
        await stage.register(host, "bob")
    rings = (Script("bob").receive("INVITE").event("invited").wait("may progress")
             .reply("183 Progress", sdp()).wait("may end"))
    desk = await stage.sip_phone(
        desk_host, rings.reply("200 OK", sdp(), reliable=True).receive("ACK").be_hung_up()).start()
    rings = (Script("bob").receive("INVITE").event("invited").wait("may progress")
             .reply("183 Progress", sdp()).wait("may end"))
    mobile = await stage.sip_phone(
        mobile_host, rings.reply("486 Busy Here", reliable=True).receive("ACK")
        .event("refused")).start()
    caller = (Script("alice", "bob").event("inviting", message=False).invite(sdp())
              .receive(100, optional=True).receive(183).event("first").receive(183)
              .event("second").receive(200).ack().event("answered")
              .wait("may hang up", message=False).hang_up())
    alice = await stage.sip_phone(alice_host, caller).start()

    a = await alice.next_call()
    inviting = await a.expect("inviting")
    at_desk, at_mobile = desk.call(a.call_id), mobile.call(a.call_id)
    desk_invited = await at_desk.expect("invited")
    mobile_invited = await at_mobile.expect("invited")
    e2e.check(desk_invited.media == mobile_invited.media, "the branches were offered other ports")
    alice_media = stage.media_port(alice_host, inviting.local_port)
    desk_media = stage.media_port(desk_host, desk_invited.local_port)
    mobile_media = stage.media_port(mobile_host, mobile_invited.local_port)

    await at_desk.expect("may progress")
    at_desk.go()
    first = await speak(stage, alice_media, await a.expect("first"), desk_media, desk_invited,
                        "early media of the desk phone")
    await at_mobile.expect("may progress")
    at_mobile.go()
    second = await speak(stage, alice_media, await a.expect("second"), mobile_media,
                         mobile_invited, "early media of the mobile phone")
    await at_mobile.expect("may end")
    at_mobile.go()
    await at_mobile.expect("refused")
    await at_desk.expect("may end")
    at_desk.go()
    third = await speak(stage, alice_media, await a.expect("answered"), desk_media, desk_invited,
                        "the call with the desk phone")
    await a.expect("may hang up")
    a.go()
    for phone in (alice, desk, mobile):
        await phone.finished()
    for port in (alice_media, desk_media, mobile_media):
        port.close()
    for figures, label in ((first, "first early media"), (second, "second early media"),
                           (third, "answered call")):
        figures.check_perfect(label, at_least=100)
        e2e.figures(f"{label}: {figures}")
    stage.close()


e2e.run(test)
