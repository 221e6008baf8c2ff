"""Processor time that relaying adds to a packet: the same packets in turn through every relay."""
import re
import subprocess
import time

from network import CannotRun, Failed, add_namespace, end, run, start
from relays import (BASE, DROP_AT_DOOR, KINDS, TO_FAR_PHONE, Daemon, BareRelay, Site)
from usage import kernel_threads, machine_busy_ns, on_cpu_ns

# What a G.711 call sends, both directions: the sender's packets go round the calls at this rate.
PACKETS_A_CALL_S = 100
PRIMING_PACKETS_S = 20_000
PRIMING_PACKETS = 60  # of a party: our slow path takes it for settled after 50
IN_KERNEL_WITHIN_S = 20


class Sender:
    """A udp_sender in a namespace."""

    def __init__(self, program, namespace):
        self.process = start(namespace, program, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                             text=True, bufsize=1)

    def add_flow(self, group, source, destination):
        self.process.stdin.write(f"flow {group} {source[0]}/{source[1]} "
                                 f"{destination[0]}/{destination[1]}\n")

    def run(self, group, packets, rate, flows):
        self.process.stdin.write(f"run {group} {packets} {rate} {flows}\n")
        answer = self.process.stdout.readline().split()
        if not answer or answer[0] != "sent":
            raise Failed("udp_sender ended")
        return int(answer[3])


class CpuPart:
    """figures[calls][name] is a list of (ns a packet of the tasks, … of the machine), a round
    each; sent and missing count packets in the same shape."""

    def __init__(self, settings, left_out):
        self.settings, self.left_out = settings, left_out
        self.sites, self.figures, self.sent, self.missing = [], {}, {}, {}
        self.late_us = 0

    def build(self):
        add_namespace("sender")
        add_namespace("receiver")
        program = f"{self.settings.bin}/udp_sender"
        self.sender, far = Sender(program, "sender"), Sender(program, "receiver")
        calls = max(self.settings.levels)
        for number, (name, kind) in enumerate(KINDS.items()):
            site = kind(name, number, self.settings.bin)
            try:
                site.start()
            except CannotRun as reason:
                self.left_out[name] = str(reason)
                site.stop()
                continue
            self.sites.append(site)
            for port_a, ours_a, ours_b in site.set_up_calls(calls):
                self.sender.add_flow(site.group, (site.phone_a, port_a), (site.a, ours_a))
                if ours_b:
                    far.add_flow(site.group, (site.phone_b, port_a + TO_FAR_PHONE),
                                 (site.b, ours_b))
        self.prime(far, calls)

    def prime(self, far, calls):
        """Both parties of each call speak, so that their places are known; then B is silent, and
        what arrives there is dropped at the door and counted."""
        for site in self.sites:
            self.sender.run(site.group, PRIMING_PACKETS * calls, PRIMING_PACKETS_S, calls)
            if isinstance(site, (Daemon, BareRelay)):
                far.run(site.group, PRIMING_PACKETS * calls, PRIMING_PACKETS_S, calls)
            run("nft", "-f", "-", namespace="receiver",
                stdin=DROP_AT_DOOR.format(table=f"door{site.device_b}", device=site.device_b))
        end(far.process)
        deadline = time.monotonic() + IN_KERNEL_WITHIN_S
        for site in self.sites:
            self.sender.run(site.group, PRIMING_PACKETS * calls, PRIMING_PACKETS_S, calls)
            while not site.ready(calls):
                if time.monotonic() > deadline:
                    raise Failed(f"{site.name}: not all calls are in the kernel")
                self.sender.run(site.group, calls, PRIMING_PACKETS_S, calls)
                time.sleep(0.2)

    def measure(self):
        self.kernel_threads = kernel_threads()
        for calls, rounds in self.settings.levels.items():
            for number in range(rounds):
                turn = number % len(self.sites)
                for site in self.sites[turn:] + self.sites[:turn]:
                    self.window(site, calls)

    def window(self, site: Site, calls):
        rate = calls * PACKETS_A_CALL_S
        packets = int(rate * self.settings.window_s)
        tasks = [f"/proc/{self.sender.process.pid}", *site.threads(), *self.kernel_threads]
        arrived = self.arrived(site)
        time.sleep(0.01)
        cpu, machine = on_cpu_ns(tasks), machine_busy_ns()
        late_us = self.sender.run(site.group, packets, rate, calls)
        time.sleep(0.01)  # whoever is still at it goes to sleep and has its time booked
        cpu, machine = on_cpu_ns(tasks) - cpu, machine_busy_ns() - machine
        self.late_us = max(self.late_us, late_us)
        figures = self.figures.setdefault(calls, {}).setdefault(site.name, [])
        figures.append((cpu / packets, machine / packets))
        for counted, number in ((self.sent, packets),
                                (self.missing, packets - (self.arrived(site) - arrived))):
            by_name = counted.setdefault(calls, {})
            by_name[site.name] = by_name.get(site.name, 0) + number

    def arrived(self, site):
        """At the receiver's door, or for the base at its own."""
        at_own = site.name == BASE
        text = run("nft", "list", "table", "netdev", "door" if at_own else f"door{site.device_b}",
                   namespace=site.namespace if at_own else "receiver")
        return int(re.search(r"counter packets (\d+)", text)[1])

    def close(self):
        for site in self.sites:
            site.stop()
        if hasattr(self, "sender"):
            end(self.sender.process)
