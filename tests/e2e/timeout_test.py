#!/usr/bin/env python3
"""The media of a call stop and nobody hangs up: the relay asks Kamailio for the end of the dialog,
once for both media, and both phones get a BYE. The argument says how it asks."""

import json
import sys

import e2e
from calls import PROXY, Pair, Script, Stage, answering
from sip import sdp

TARGETS = {"http": f"jsonrpc:http://{PROXY}:5060/RPC",
           "datagrams": "jsonrpc:unix:{directory}/kamailio.run/rpc.sock"}
# Kamailio (5.6 to 5.8, its issue 4268) leaves the second BYE out when the first is answered before.
ANSWER_AFTER_MS = 500


async def test(lab):
    way = sys.argv[1]
    target = TARGETS[way].format(directory=lab.directory)
    stage = Stage(lab, options=("-T", "3", "-W", "20", "--notify-all", target), dialogs=True)
    alice_host, bob_host = stage.public_phone("alice", 1), stage.public_phone("bob", 2)
    await stage.ready()
    body = sdp(video=True)
    caller = (Script("alice", "bob").event("inviting", message=False).invite(body)
              .receive(100, optional=True).receive(180, optional=True)
              .receive(200).ack().event("answered").be_hung_up(ANSWER_AFTER_MS))
    pair = await Pair(stage, alice_host, bob_host, caller,
                      answering(body, ANSWER_AFTER_MS)).start()
    a, b, inviting = await pair.next_call()
    invited, answered = await b.expect("invited"), await a.expect("answered")
    conversation = pair.converse(answered, inviting.local_port, invited)
    await conversation.open()
    await conversation.talk(5)  # longer than the video, which is silent, would live
    stage.check_session(a.call_id, invited.from_tag)
    figures = await conversation.finish()
    await pair.finished()  # both have had a BYE
    figures.check_perfect("before the silence", at_least=200)
    told = json.loads(stage.control.send("J stats"))
    control, sessions = told["control"], told["sessions"]
    e2e.check(sessions["timed_out"] == 2, f"{sessions['timed_out']} sessions timed out, expected 2")
    e2e.check(control["notifications_refused"] == 0, "Kamailio refused a request")
    if way == "http":  # datagrams find no way back into the relay's network namespace
        e2e.check(control["notifications_sent"] == 1,
                  f"{control['notifications_sent']} requests were answered, expected 1")
    await stage.until_gone(a.call_id, invited.from_tag)
    stage.close()
    e2e.figures(figures)


if len(sys.argv) != 2 or sys.argv[1] not in TARGETS:
    sys.exit(f"expected one of: {' '.join(TARGETS)}")
e2e.run(test)
