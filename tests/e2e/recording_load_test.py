#!/usr/bin/env python3
"""Two hundred calls at once, every one recorded to pcap: no packet is missing, neither from the
calls nor from the files. With a disk that is full half-way the calls still lose nothing.
RELAY_E2E_LONG=1: for a minute."""

import asyncio
import contextlib
import json
import os
import struct
import subprocess
import sys

import e2e
import netlab
from load import check_whole, run_load
from recordings import read_pcap
from relay import Relay

SLOW = "RELAY_E2E_SLOW" in os.environ  # a sanitizer build
CALLS = int(os.environ.get("RELAY_E2E_CALLS", "50" if SLOW else "200"))
SECONDS = 60 if "RELAY_E2E_LONG" in os.environ else 10
CONTROL = "udp:127.0.0.1:22222"
PCAP_HEADER_BYTES, RECORD_HEADER_BYTES = 24, 16


def count_records(path):
    """The records of a pcap file, which must end with a whole one."""
    data, at, count = path.read_bytes(), PCAP_HEADER_BYTES, 0
    while at < len(data):
        at += RECORD_HEADER_BYTES + struct.unpack_from("<I", data, at + 8)[0]
        count += 1
    e2e.check(at == max(len(data), PCAP_HEADER_BYTES), f"{path.name} ends within a record")
    return count


async def load(lab, relay):
    report = await run_load(lab, relay, CALLS, SECONDS, "--rate", 100, "--rtcp")
    e2e.figures(f"{report['calls_up']} calls for {SECONDS} s: {report['media']}")
    e2e.figures(f"delay {report['one_way_delay']}")
    check_whole(report, CALLS)


async def ended(relay, directory, timeout_s=30):
    """The last recording is closed; the counters of recordings and of packets."""
    give_up = asyncio.get_running_loop().time() + timeout_s
    while relay.control.active_sessions() or relay.open_files(directory):
        e2e.check(asyncio.get_running_loop().time() < give_up, "recordings are still open")
        await asyncio.sleep(0.2)
    stats = json.loads(relay.control.send("J stats"))
    return stats["recordings"], stats["packets"]


async def start(lab, directory):
    lab.add_host("relay", "192.0.2.10")
    relay = Relay(lab, "relay", CONTROL, local_addresses=("-l", "127.0.0.1"),
                  ports=(36000, 60000), options=("-r", directory, "-a", "-P"))
    await relay.ready()
    return relay


async def whole(lab):
    directory = lab.directory / "rec"
    directory.mkdir()
    relay = await start(lab, directory)
    await load(lab, relay)
    counters, packets = await ended(relay, directory)
    e2e.figures(f"recordings {counters}")
    files = sorted(directory.iterdir())
    in_files = sum(map(count_records, files))
    e2e.check(len(files) == CALLS, f"{len(files)} files of {CALLS} calls")
    e2e.check(counters["ended"] == CALLS and in_files == counters["packets"],
              f"{in_files} packets in files, counted {counters}")
    for name in ("not_started", "broken_off", "incomplete", "queue_full", "after_failure"):
        e2e.check(counters[name] == 0, f"recordings: {name} {counters[name]}")
    e2e.check(in_files == packets["forwarded"],
              f"{in_files} packets in files, forwarded {packets['forwarded']}")
    records, _ = read_pcap(files[0])
    e2e.figures(f"{in_files} packets in {len(files)} files; tshark reads {len(records)} in one")
    relay.stop()


@contextlib.contextmanager
def small_disk(directory, size):
    directory.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", directory],
                          capture_output=True, text=True)
    if done.returncode != 0:
        raise netlab.CannotRun(f"cannot mount a small file system: {done.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", directory], check=False)


async def full(lab):
    directory = lab.directory / "rec"
    with small_disk(directory, f"{CALLS * 80}k"):  # some four seconds of the calls
        relay = await start(lab, directory)
        await load(lab, relay)
        counters, packets = await ended(relay, directory)
        e2e.figures(f"recordings {counters}")
        in_files = sum(map(count_records, directory.iterdir()))
        e2e.check(counters["broken_off"] == CALLS, "not every recording has broken off")
        e2e.check(counters["packets"] == in_files, f"{in_files} packets are in the files")
        e2e.check(counters["packets"] + counters["after_failure"] == packets["forwarded"],
                  f"packets are missing and not counted: forwarded {packets['forwarded']}")
        e2e.check(counters["queue_full"] == 0, f"{counters['queue_full']} packets found no room")
        e2e.figures(f"{in_files} packets on the full disk, all whole records")
        relay.stop()


CASES = {"whole": whole, "full": full}
if len(sys.argv) != 2 or sys.argv[1] not in CASES:
    sys.exit(f"expected one of: {' '.join(CASES)}")
e2e.run(CASES[sys.argv[1]], limit_s=SECONDS + 80)
