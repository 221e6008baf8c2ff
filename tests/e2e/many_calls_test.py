#!/usr/bin/env python3
"""Five hundred calls at once: none loses a packet or hears another call, and when they are over the
relay's sessions, sockets and memory are back where they were. RELAY_E2E_LONG=1: for a minute."""

import asyncio
import os

import e2e
from load import check_whole, run_load
from relay import Relay

SLOW = "RELAY_E2E_SLOW" in os.environ  # a sanitizer build: its memory says nothing
CALLS = int(os.environ.get("RELAY_E2E_CALLS", "100" if SLOW else "500"))
SECONDS = 60 if "RELAY_E2E_LONG" in os.environ else 10
CONTROL = "udp:127.0.0.1:22222"
LOAD = ("--rate", 200, "--rtcp")
# A run before the one that is judged has filled allocator caches and tables.
RESIDENT_GROWTH_KIB_MAX = 2048


async def settled(relay, sockets, timeout_s=20):
    """After the last D; sessions that are over may linger a moment for late packets."""
    give_up = asyncio.get_running_loop().time() + timeout_s
    while (now := (relay.control.active_sessions(), relay.sockets())) != (0, sockets):
        e2e.check(asyncio.get_running_loop().time() < give_up,
                  f"{now[0]} sessions and {now[1]} descriptors are left, expected 0 and {sockets}")
        await asyncio.sleep(0.2)


async def test(lab):
    lab.add_host("relay", "192.0.2.10")
    relay = Relay(lab, "relay", CONTROL, local_addresses=("-l", "127.0.0.1"),
                  ports=(36000, 60000))
    control = await relay.ready()
    e2e.check(control.active_sessions() == 0, "a fresh relay has sessions")
    sockets = relay.sockets()
    await run_load(lab, relay, CALLS, 1, *LOAD, name="warm-up")
    await settled(relay, sockets)
    resident = relay.resident_kib()

    report = await run_load(lab, relay, CALLS, SECONDS, *LOAD)
    await settled(relay, sockets)
    growth = relay.resident_kib() - resident
    media, memory = report["media"], report["memory"]
    e2e.figures(f"{report['calls_up']} calls for {SECONDS} s: {media}")
    e2e.figures(f"delay {report['one_way_delay']}")
    e2e.figures(f"resident {resident} KiB, with calls {memory['peak_kib']}, after"
                f" {resident + growth}; {report['window'].get('relay_us_per_packet', 0):.1f} us"
                " of the relay's CPU a packet")
    check_whole(report, CALLS)
    e2e.check(media["sent"] > CALLS * 2 * SECONDS * 40, "the generator sent too little")
    e2e.check(SLOW or growth <= RESIDENT_GROWTH_KIB_MAX, f"the relay has grown by {growth} KiB")
    relay.stop()


e2e.run(test, limit_s=SECONDS + 80)
