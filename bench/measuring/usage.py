"""Processor time as the scheduler books it, and memory."""
import contextlib
import os
import re
import subprocess
import time

# What the work may be handed to: the packets' softirqs.
KERNEL_THREADS = re.compile(r"ksoftirqd/\d+")


def kernel_threads():
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError), open(f"/proc/{pid}/comm") as comm:
            if KERNEL_THREADS.fullmatch(comm.read().strip()):
                found.append(f"/proc/{pid}")
    return found


def threads_of(pid):
    return [f"/proc/{pid}/task/{thread}" for thread in os.listdir(f"/proc/{pid}/task")]


def on_cpu_ns(tasks):
    """What they ran, and the softirqs that ran in them."""
    total = 0
    for task in tasks:
        with open(f"{task}/schedstat") as line:
            total += int(line.read().split()[0])
    return total


def machine_busy_ns():
    """All CPUs, everybody's work. Where an idle CPU stops its tick, its idle time is exact."""
    with open("/proc/stat") as line:
        idle = sum(int(n) for n in line.readline().split()[4:6])
    ticks = os.sysconf("SC_CLK_TCK")
    return time.monotonic_ns() * os.cpu_count() - idle * 1_000_000_000 // ticks


def softirqs_are_in_tasks():
    """Not where the kernel accounts interrupts apart; assumed where it does not tell."""
    release = os.uname().release
    for command in (["zcat", "/proc/config.gz"], ["cat", f"/boot/config-{release}"]):
        with contextlib.suppress(OSError):
            done = subprocess.run(command, capture_output=True, text=True)
            if done.returncode == 0:
                return "CONFIG_IRQ_TIME_ACCOUNTING=y" not in done.stdout
    return True


def memory_kib(pid):
    """VmRSS and the parts of it."""
    with open(f"/proc/{pid}/status", encoding="ascii") as status:
        return {line.split(":")[0]: int(line.split()[1])
                for line in status if line.startswith(("VmRSS", "RssAnon"))}


def machine():
    """What the figures are true of."""
    model = "unknown processor"
    with open("/proc/cpuinfo") as lines:
        for line in lines:
            if line.startswith("model name"):
                model = line.split(":", 1)[1].strip()
                break
    system = "unknown system"
    with contextlib.suppress(OSError), open("/etc/os-release") as lines:
        system = re.search(r'PRETTY_NAME="?([^"\n]*)', lines.read())[1]
    virtual = subprocess.run("systemd-detect-virt --vm 2>/dev/null || true", shell=True,
                             capture_output=True, text=True).stdout.strip()
    return {"processor": model, "processors": os.cpu_count(), "system": system,
            "kernel": os.uname().release, "virtual": virtual or "not known"}
