"""What rtpp-load sees of each relay, alone and in turn: delay, memory a call, commands a second."""
import json
import os
import resource

from network import DESCRIPTORS, CannotRun, Failed, add_namespace, run
from relays import FAST, KINDS, PEERS, SLOW, need

RELAYS = (SLOW, FAST, *PEERS)
# Commands go the same way with and without the kernel.
COMMANDED = (SLOW, *PEERS)
FIRST_NUMBER = 32  # of the networks, behind those of the CPU part


def descriptors():
    """That a process started here can have."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (DESCRIPTORS, max(hard, DESCRIPTORS)))
        return DESCRIPTORS
    except (ValueError, OSError):
        return hard


class LoadPart:
    """delay, control and standing hold lists of rtpp-load's reports by relay, a round each."""

    def __init__(self, settings, left_out):
        self.settings, self.left_out = settings, left_out
        self.delay, self.control, self.standing, self.sites = {}, {}, {}, {}

    def build(self):
        need(f"{self.settings.bin}/rtpp-load")
        add_namespace("phones")
        for number, name in enumerate(RELAYS):
            if name not in self.left_out:  # by the CPU part
                self.sites[name] = KINDS[name](name, FIRST_NUMBER + number, self.settings.bin,
                                               near="phones", far=None)

    def measure(self):
        self.rounds(RELAYS, self.settings.delay_rounds, self.one_delay)
        self.rounds(COMMANDED, self.settings.control_rounds, self.one_control)
        # Four descriptors a call.
        self.standing_calls = min(self.settings.standing_calls, (descriptors() - 500) // 4)
        self.rounds((SLOW,), self.settings.standing_rounds, self.one_standing)

    def rounds(self, names, rounds, one):
        present = [name for name in names if name in self.sites and name not in self.left_out]
        for number in range(rounds):
            turn = number % len(present)
            for name in present[turn:] + present[:turn]:
                if name in self.left_out:
                    continue
                try:
                    one(self.sites[name])
                except CannotRun as reason:
                    self.left_out[name] = str(reason)
                finally:
                    self.sites[name].stop()

    def one_delay(self, site):
        site.start()
        report = self.load(site, "--calls", self.settings.delay_calls, "--rate", 250,
                           "--duration", self.settings.delay_s, "--pid", site.process.pid)
        self.delay.setdefault(site.name, []).append(report)

    def one_control(self, site, *words):
        """The relay has one CPU, the client another, if there is one."""
        usable = sorted(os.sched_getaffinity(0))
        site.start(cpu=usable[0])
        report = self.load(site, "--control-only", "--in-flight", 16, "--duration",
                           self.settings.control_s, "--pid", site.process.pid, *words,
                           cpu=usable[-1])
        (self.standing if words else self.control).setdefault(site.name, []).append(report)

    def one_standing(self, site):
        self.one_control(site, "--standing", self.standing_calls)

    def load(self, site, *words, cpu=None):
        pinned = ["taskset", "-c", str(cpu)] if cpu is not None else []
        text = run(*pinned, f"{self.settings.bin}/rtpp-load", "-s", site.control_address(),
                   "--protocol", site.PROTOCOL, "--endpoint-address", site.phone_a, "--json",
                   *map(str, words), namespace="phones")
        report = json.loads(text)
        if report["calls_failed"] > 0:
            raise Failed(f"{site.name}: {report['first_error']}")
        return report

    def close(self):
        for site in self.sites.values():
            site.stop()
