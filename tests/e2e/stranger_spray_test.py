#!/usr/bin/env python3
"""A hundred calls, half of the phones behind a NAT, while strangers spray media over the relay's
whole port range from many sources. No call loses a packet, no phone hears a stranger, and the
strangers get nothing from the relay. (rtpproxy 3.2 fails all three.)"""

import asyncio
import os

import e2e
from calls import RELAY, UDP_CONTROL
from crowd_calls import CrowdCalls
from relay import PORT_MAX, PORT_MIN, Relay
from stranger import Spray

CALLS = int(os.environ.get("RELAY_E2E_CALLS", "100"))
SLOW = "RELAY_E2E_SLOW" in os.environ
SPRAY_PER_SECOND = 4000 if SLOW else 12000
SECONDS = 12


async def test(lab):
    lab.add_host("relay", RELAY)
    lab.add_host("public", "192.0.2.101")
    lab.add_nat("nat", "192.0.2.41", "10.1.0.1", random_ports=True)
    lab.add_phone_behind("nat", "inside", "10.1.0.5")
    strangers = ["198.51.100.66", "198.51.100.67", "192.0.2.66"]
    lab.add_host("stranger", *strangers)
    relay = Relay(lab, "relay", UDP_CONTROL)
    control = await relay.ready()

    spray = Spray(lab, "stranger", strangers, RELAY, range(PORT_MIN, PORT_MAX + 1),
                  SPRAY_PER_SECOND)
    calls = CrowdCalls(lab, control, CALLS, callers=("inside", "10.1.0.5", "192.0.2.41"),
                       callees=("public", "192.0.2.101", "192.0.2.101"))
    calls.set_up()
    await calls.count_when_all_hear()
    await asyncio.sleep(SECONDS / 2)
    # A party that says nothing for seconds still keeps its place.
    await calls.be_silent(range(CALLS // 5), SECONDS / 4)
    await asyncio.sleep(SECONDS / 4)
    there, back = await calls.finish()
    sprayed, leaked = spray.stop()
    calls.ask_deleted()
    e2e.figures(f"callers to callees: {there}")
    e2e.figures(f"callees to callers: {back}")
    e2e.figures(f"strangers sent {sprayed} datagrams and got {leaked}")
    for figures in (there, back):
        e2e.check(figures.lost == 0, f"{figures.lost} of {figures.sent} packets were lost")
        e2e.check(figures.strays == 0, f"{figures.strays} foreign packets: {figures.examples}")
        e2e.check(figures.duplicated == figures.reordered == 0, f"{figures}")
        e2e.check(figures.sent > CALLS * SECONDS * 25, f"too little was said: {figures}")
    e2e.check(sprayed > SPRAY_PER_SECOND * SECONDS / 4, f"only {sprayed} datagrams were sprayed")
    e2e.check(leaked == 0, f"the relay sent strangers {leaked} datagrams")
    relay.stop()


e2e.run(test)
