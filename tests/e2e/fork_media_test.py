#!/usr/bin/env python3
"""`U ... && C`: the packets of a running call go to a recording server's two sockets as well, each
direction whole, RTCP too, and the call notices nothing. What the server says is swallowed. With
`straight` the command has an `L` before the `C`; `crossed` has none, and the sides are the other
way round."""

import asyncio
import sys

import e2e
from calls import RELAY
from direct import DirectStage
from media import RTCP, RTP, Conversation

CALL, COPY = "talk@example", "recording@example"
CASES = ("straight", "crossed")


def fork(stage, server_a, server_b, crossed):
    """Asks for the fork."""
    offer = f"Uc8 {COPY} {stage.where(server_a)} fromA;1 toB;1"
    answer = f"Lc8 {stage.where(server_b)}"
    copy = f"C {CALL} fromA;1 toB;1"
    if crossed:
        for_b, = stage.ask(f"Uc8 {COPY} {stage.where(server_a)} fromA;1")
        for_a, = stage.ask(f"Lc8 {COPY} {stage.where(server_b)} fromA;1 toB;1")
        e2e.check(stage.ask(f"{offer} && {copy}") == [for_b], "the fork was given another port")
    else:
        for_b, for_a = stage.ask(f"{offer} && {answer} && {copy}", parts=2)
    server_a.aim(RELAY, for_a)
    server_b.aim(RELAY, for_b)


def check_copies(server, speaker):
    """Every packet from the first that was copied on, once, in order, from the right port."""
    e2e.check(not server.strays, f"{server.name} heard strangers: {server.strays[:3]}")
    for kind in (RTP, RTCP):
        heard, count = server.heard[kind], speaker.sent_count[kind]
        first = heard.numbers[0] if heard.numbers else count
        e2e.check(first <= speaker.counted_from[kind] and
                  heard.numbers == list(range(first, count)),
                  f"{server.name}: {len(heard.numbers)} {kind} of {speaker.name}, from {first} on, "
                  f"expected {speaker.counted_from[kind]} to {count}")
        e2e.check(not heard.wrong_source, f"{server.name} heard {kind} of {heard.wrong_source[:3]}")
    return len(server.heard[RTP].numbers)


async def test(lab):
    crossed = sys.argv[1] == "crossed"
    stage = await DirectStage(lab).ready()
    alice, bob = stage.party("alice"), stage.party("bob")
    server_a, server_b = stage.party("server-a"), stage.party("server-b")
    stage.call(CALL, alice, bob)
    talk = Conversation(alice, bob)
    await talk.open()
    await talk.talk(1.2)  # long enough to go into the kernel, where there is one
    before = stage.path_of(CALL, "caller")["plane"]
    server_a.listen_to(bob if crossed else alice)
    server_b.listen_to(alice if crossed else bob)
    fork(stage, server_a, server_b, crossed)
    await asyncio.sleep(0.1)  # what is under way at the command may or may not be copied
    talk.count_from_here()
    await talk.talk(1)
    during = stage.path_of(CALL, "caller")
    silent = stage.control.send(f"Q {COPY} fromA;1 toB;1").split()
    e2e.check(silent[1:] == ["0", "0", "0", "0"], f"nobody spoke in the copy, Q tells {silent}")
    server_a.start()
    server_b.start()
    await talk.talk(0.5)
    server_a.mute()
    server_b.mute()
    figures = await talk.pause()
    await asyncio.sleep(0.3)  # the last copies
    copies = [check_copies(server_a, server_a.peer), check_copies(server_b, server_b.peer)]
    figures.check_perfect("the copied call", at_least=150)
    told = stage.control.send(f"Q {COPY} fromA;1 toB;1").split()
    spoken = [server.sent_count[RTP] for server in (server_a, server_b)]
    e2e.check([int(count) for count in told[1:]] == [*spoken, 0, sum(spoken)],
              f"Q tells {told}; the server sent {spoken}")
    stage.end(COPY)
    await asyncio.sleep(0.1)
    talk.count_from_here()
    await talk.open()
    await talk.talk(0.5)
    (await talk.pause()).check_perfect("after the copy", at_least=50)
    e2e.check(copies == [len(server.heard[RTP].numbers) for server in (server_a, server_b)],
              "there are copies after the end of their session")
    stage.end(CALL)
    stage.close()
    e2e.figures(f"{figures}; {copies} copies; the caller's packets: {before}, while copied "
                f"{during['plane']} {during.get('reason', '')}")


if len(sys.argv) != 2 or sys.argv[1] not in CASES:
    sys.exit(f"expected one of: {' '.join(CASES)}")
e2e.run(test, limit_s=30)
