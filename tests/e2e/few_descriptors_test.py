#!/usr/bin/env python3
"""As many calls as the relay has descriptors for, in user space: parties that stay in one place get
sockets of their own while there are plenty, and give them back to the calls that come later."""

import asyncio

import e2e
from load import check_whole, run_load
from relay import Relay

LIMIT, A_CALL = 400, 4


async def test(lab):
    lab.add_host("relay", "192.0.2.10")
    relay = Relay(lab, "relay", "udp:127.0.0.1:22222", local_addresses=("-l", "127.0.0.1"),
                  ports=(36000, 60000), options=("-L", LIMIT, "--fastpath=off"))
    await relay.ready()
    idle = relay.sockets()
    few = 20
    running = asyncio.create_task(run_load(lab, relay, few, 5, "--rate", 100, name="few"))
    most = 0
    while not running.done():
        most = max(most, relay.sockets())
        await asyncio.sleep(0.1)
    check_whole(await running, few)
    e2e.check(most == idle + few * (A_CALL + 2),
              f"{few} calls had at most {most - idle} sockets, expected {A_CALL + 2} each")

    calls = (LIMIT - idle) // A_CALL
    report = await run_load(lab, relay, calls, 6, "--rate", 12)
    check_whole(report, calls)
    e2e.figures(f"{calls} calls with {LIMIT} descriptors: {report['media']}; commands "
                f"{report['commands']}")
    relay.stop()


e2e.run(test, limit_s=60)
