#!/usr/bin/env python3
"""Five hundred calls at once: none loses a packet or hears another call, and when they are over the
relay's sessions, sockets and memory are back where they were. RELAY_E2E_LONG=1: for a minute."""

import asyncio
import json
import os

import e2e
import netlab
from case import CheckFailed
from relay import Relay

SLOW = "RELAY_E2E_SLOW" in os.environ  # a sanitizer build: its memory says nothing
CALLS = int(os.environ.get("RELAY_E2E_CALLS", "100" if SLOW else "500"))
SECONDS = 60 if "RELAY_E2E_LONG" in os.environ else 10
CONTROL = "udp:127.0.0.1:22222"
# A run before the one that is judged has filled allocator caches and tables.
RESIDENT_GROWTH_KIB_MAX = 2048


def load_binary():
    binary = os.environ.get("RELAY_LOAD_BINARY") or os.path.join(
        os.path.dirname(netlab.__file__), "../../../build/dev/bin/rtpp-load")
    if not os.access(binary, os.X_OK):
        raise CheckFailed(f"no load generator: '{binary}' (RELAY_LOAD_BINARY) is not a program")
    return binary


async def load(lab, relay, name, seconds):
    output = lab.directory / f"{name}.json"
    process = lab.start("relay", load_binary(), "--socket", CONTROL, "--calls", CALLS,
                        "--duration", seconds, "--rate", 200, "--rtcp", "--json", "--pid",
                        relay.process.pid, output=output)
    while process.poll() is None:
        relay.check_alive()
        await asyncio.sleep(0.1)
    text = output.read_text()
    e2e.check(process.returncode == 0, f"rtpp-load ended with {process.returncode}: {text[-600:]}")
    return json.loads(text[text.index("{"):])


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
    await load(lab, relay, "warm-up", 1)
    await settled(relay, sockets)
    resident = relay.resident_kib()

    report = await load(lab, relay, "load", SECONDS)
    await settled(relay, sockets)
    growth = relay.resident_kib() - resident
    media, memory = report["media"], report["memory"]
    e2e.figures(f"{report['calls_up']} calls for {SECONDS} s: {media}")
    e2e.figures(f"delay {report['one_way_delay']}")
    e2e.figures(f"resident {resident} KiB, with calls {memory['peak_kib']}, after"
                f" {resident + growth}; {report['window'].get('relay_us_per_packet', 0):.1f} us"
                " of the relay's CPU a packet")
    e2e.check(report["calls_up"] == CALLS and report["calls_failed"] == 0,
              f"{report['calls_failed']} calls failed: {report['first_error']}")
    e2e.check(media["sent"] > CALLS * 2 * SECONDS * 40, "the generator sent too little")
    for name in ("lost", "misdelivered", "wrong_source", "foreign", "duplicated"):
        e2e.check(media[name] == 0, f"{media[name]} packets {name}")
    e2e.check(SLOW or growth <= RESIDENT_GROWTH_KIB_MAX, f"the relay has grown by {growth} KiB")
    relay.stop()


e2e.run(test, limit_s=SECONDS + 80)
