#!/usr/bin/env python3
"""What Q and G tell of a call relayed in the kernel, beside the same packets in user space: loss,
duplicates, disorder, a wrap, a restarted sender and another SSRC in the middle of the offload.
Every count must agree to within one packet a flow. Exit code 77 where it cannot run."""

import itertools
import json
import os
import signal
import socket
import subprocess
import sys
import time

sys.dont_write_bytecode = True
import lab  # noqa: E402
from lab import PHONE_A, PHONE_B, RELAY_A, RELAY_B, check, skip  # noqa: E402

RELAY = sys.argv[1]
CONTROL = ("127.0.0.1", 22222)
STREAM = ("rtpa_nsent", "rtpa_nrcvd", "rtpa_ndups", "rtpa_nlost", "rtpa_perrs")
FIELDS = ("npkts_ina", "npkts_ino", "nrelayed", "ndropped") + STREAM
TOTALS = ("npkts_rcvd", "npkts_relayed", "npkts_discard") + STREAM


def packet(sequence, ssrc=0x1111, marker=False, first=0x80):
    head = bytes([first, 0x80 if marker else 0]) + (sequence & 0xFFFF).to_bytes(2, "big")
    timestamp = sequence * 160 & 0xFFFFFFFF
    return head + timestamp.to_bytes(4, "big") + ssrc.to_bytes(4, "big") + bytes(160)


def opening(ssrc):
    """In order, while the flow is still on its way into the kernel."""
    return [packet(n, ssrc) for n in range(65400, 65440)]


def eventful(ssrc):
    """What comes in the kernel, or not."""
    numbers = [*range(65440, 65500), *range(65505, 65520)]                # five lost
    numbers += [65521, 65520, 65522, 65522, 65523, 65523, 65523]          # disorder, duplicates
    numbers += [*range(65524, 65536), *range(0, 40), 12, 65530]           # a wrap, stragglers
    script = [packet(n, ssrc) for n in numbers]
    script += [packet(n, ssrc, first=0xBF) for n in (40, 41)]  # headers that do not add up
    script += [packet(10, ssrc, marker=True)]                  # a restart
    script += [packet(n, ssrc) for n in range(11, 60)]
    script += [packet(n, ssrc + 1) for n in (*range(3000, 3050), *range(3052, 3060))]
    script += [packet(n, ssrc) for n in range(60, 80)]
    script += [packet(n, ssrc) for n in range(9000, 9030)]     # a jump
    return script


class Daemon:
    def __init__(self, mode):
        def to_relay():
            lab.enter(self._namespace)
            lab.LIBC.prctl(1, signal.SIGKILL)

        self._namespace = os.open(f"/run/netns/{lab.PREFIX}relay", os.O_RDONLY)
        self.process = subprocess.Popen(
            [RELAY, "-f", "-F", "-l", f"{RELAY_A}/{RELAY_B}", "-s", "udp:127.0.0.1:22222",
             f"--fastpath={mode}", "--fork-grace", "0"],
            preexec_fn=to_relay, stderr=subprocess.PIPE, text=True)
        with lab.inside("relay"):
            self._control = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._control.connect(CONTROL)
        self._control.settimeout(0.2)
        self._cookies = 0

    def ask(self, command):
        self._cookies += 1
        cookie = f"t{self._cookies} "
        for _ in range(50):
            try:
                self._control.send((cookie + command).encode())
                reply = self._control.recv(65536).decode()
                while not reply.startswith(cookie):
                    reply = self._control.recv(65536).decode()
                return reply[len(cookie):].strip()
            except (socket.timeout, ConnectionRefusedError):
                time.sleep(0.02)
            if self.process.poll() is not None:
                skip(self.process.stderr.read().strip())
        raise AssertionError(f"no answer to {command}")

    def planes(self):
        session = json.loads(self.ask("J session call"))["sessions"][0]
        return {session[leg]["path"]["plane"] for leg in ("caller", "callee")}

    def in_kernel(self):
        session = json.loads(self.ask("J session call"))["sessions"][0]
        return sum(session[leg]["path"].get("kernel", {}).get("forwarded", 0)
                   for leg in ("caller", "callee"))

    def end(self):
        self.process.terminate()
        self.process.wait()


def speak(parties, scripts, heard):
    for packets in itertools.zip_longest(*scripts):
        for (sock, to), data in zip(parties, packets):
            if data:
                sock.sendto(data, to)
        time.sleep(0.001)
        for sock, _ in parties:
            heard[sock] += len(lab.receive(sock, 1000, 0))


def until_relayed(parties, heard, expected):
    deadline = time.monotonic() + 5
    while list(heard.values()) != expected and time.monotonic() < deadline:
        for sock, _ in parties:
            heard[sock] += len(lab.receive(sock, 1000, 0.02))
    check(list(heard.values()) == expected, f"heard {list(heard.values())} of {expected}")


def run(mode):
    """Q as each party's, and G after the call."""
    daemon = Daemon(mode)
    phone_a, phone_b = lab.udp("a", PHONE_A, 40000), lab.udp("b", PHONE_B, 50000)
    port_b, _ = daemon.ask(f"Uie call {PHONE_A} 40000 ta;1").split()[:2]
    port_a, _ = daemon.ask(f"Lei call {PHONE_B} 50000 ta;1 tb;1").split()[:2]
    parties = ((phone_a, (RELAY_A, int(port_a))), (phone_b, (RELAY_B, int(port_b))))
    heard = {phone_a: 0, phone_b: 0}
    first = [opening(0xA000), opening(0xB000)]
    # Nothing is lost where both legs know their party before the first packet comes.
    speak(parties, first, heard)
    until_relayed(parties, heard, [len(first[1]), len(first[0])])
    deadline = time.monotonic() + 5
    while mode == "require" and daemon.planes() != {"kernel"}:
        check(time.monotonic() < deadline, f"still in {daemon.planes()}")
        time.sleep(0.05)
    middle = [eventful(0xA000), eventful(0xB000)[:250]]
    speak(parties, middle, heard)
    until_relayed(parties, heard, [len(first[n]) + len(middle[n]) for n in (1, 0)])
    in_kernel = daemon.in_kernel()
    asked = {side: dict(zip(FIELDS, map(int, daemon.ask(
        f"Q call {tags} {' '.join(FIELDS)}").split())))
        for side, tags in (("caller", "ta;1 tb;1"), ("callee", "tb;1 ta;1"))}
    check(daemon.ask("D call ta tb") == "0", "the call was not deleted")
    totals = dict.fromkeys(TOTALS, 0)
    deadline = time.monotonic() + 10
    while totals["rtpa_nsent"] == 0 and time.monotonic() < deadline:  # streams of ended calls
        time.sleep(0.1)
        totals = dict(zip(TOTALS, map(int, daemon.ask("G " + " ".join(TOTALS)).split())))
    daemon.end()
    phone_a.close()
    phone_b.close()
    return asked, totals, in_kernel, sum(map(len, middle))


def main():
    if os.geteuid() != 0:
        skip("it needs root")
    try:
        lab.build_network()
    except (RuntimeError, OSError) as error:
        lab.remove_network()
        skip(error)
    try:
        fast, fast_totals, in_kernel, eventful_packets = run("require")
        slow, slow_totals, none, _ = run("off")
    finally:
        lab.remove_network()
    check(in_kernel >= eventful_packets, f"{in_kernel} packets in the kernel: {eventful_packets}")
    check(none == 0, f"{none} packets in the kernel with --fastpath=off")
    for side, figures in slow.items():
        print(f"  Q of the {side}: slow path {figures}")
        print(f"  {'':<15} fast path {fast[side]}")
        for name, value in figures.items():
            flows = 2 if name in ("nrelayed", "ndropped") else 1
            check(abs(value - fast[side][name]) <= flows, f"Q of the {side}: {name} differs")
        for name in ("rtpa_nlost", "rtpa_ndups", "rtpa_perrs"):
            check(slow_totals[name] > figures[name] > 0, f"nothing of {name} happened")
    print(f"  G: slow path {slow_totals}\n     fast path {fast_totals}")
    for name, value in slow_totals.items():
        check(abs(value - fast_totals[name]) <= 2, f"G: {name} differs")


if __name__ == "__main__":
    main()
