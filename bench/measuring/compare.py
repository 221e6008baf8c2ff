"""bench/compare, once everything is installed and built."""
import argparse
import contextlib
import datetime
import json
import os
import subprocess
import sys
import time

import figures
import plot
import report
import usage
from cpu_part import PACKETS_A_CALL_S, CpuPart
from load_part import LoadPart
from network import CannotRun, Failed, remove_namespaces
from relays import FAST, FLOOR, NAT, SLOW, need

BENCH = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
DATA, PAGE, PLOT = (os.path.join(BENCH, name) for name in
                    ("results.json", "RESULTS.md", "results.svg"))
MET, NOT_MET, RUN_FAILED, CANNOT_RUN = 0, 1, 2, 77
JUDGED_CALLS = 400
# Ours must run; what else is not there is told, and its ratios are not measured.
QUICK_NEEDS = (SLOW, NAT, FLOOR)


def parse_arguments():
    parser = argparse.ArgumentParser(
        prog="bench/compare",
        description="rtpp-relay beside rtpengine, rtpproxy (if it is on PATH), nft NAT and a bare "
        "epoll relay: processor time, delay, memory, commands, judged as ratios. As root.",
        epilog="Exit status: 0 all that was measured holds, 1 a bar is missed (--check: something "
        "became worse), 2 a run failed, 77 it cannot run here.")
    parser.add_argument("--bin", help="programs that are built already; nothing is installed then")
    parser.add_argument("--check", action="store_true",
                        help="compare with bench/results.json instead of writing it; tolerated: "
                        + ", ".join(f"{kind} {100 * share:.0f} %%"
                                    for kind, share in figures.TOLERANCES.items()))
    parser.add_argument("--quick", action="store_true",
                        help="few calls and packets, nothing written: whether it runs")
    parser.add_argument("--rounds", type=int, default=40, help="of the processor time that is judged")
    parser.add_argument("--json", action="store_true", help="print the figures as one JSON object")
    arguments = parser.parse_args()
    return settings_of(arguments)


def settings_of(arguments):
    settings = arguments
    # Calls → rounds. Few rounds serve the plot.
    few = max(1, arguments.rounds // 6)
    settings.levels = {100: few, 200: few, JUDGED_CALLS: arguments.rounds, 800: few}
    settings.judged, settings.window_s = JUDGED_CALLS, 0.4
    settings.delay_calls, settings.delay_s, settings.delay_rounds = 500, 8, 5
    settings.control_s, settings.control_rounds = 3, 6
    settings.standing_calls, settings.standing_rounds = 10_000, 3
    if settings.quick:
        settings.levels, settings.judged, settings.window_s = {20: 2, 40: 2}, 40, 0.1
        settings.delay_calls, settings.delay_s, settings.delay_rounds = 40, 0.5, 1
        settings.control_s, settings.control_rounds = 0.3, 1
        settings.standing_calls, settings.standing_rounds = 100, 1
    settings.bin = settings.bin or os.path.join(os.path.dirname(BENCH), "build/release/bin")
    return settings


def check_that_it_can_run(settings):
    if os.geteuid() != 0:
        raise CannotRun("it needs root, for network namespaces")
    for program in ("ip", "nft", "sysctl", "taskset", *(
            os.path.join(settings.bin, name) for name in
            ("rtpp-relay", "rtpp-load", "udp_sender", "epoll_relay"))):
        need(program)
    if not usage.softirqs_are_in_tasks():
        raise CannotRun("this kernel takes interrupts out of the tasks' CPU time")


def say(words):
    print(f"bench/compare: {words}", file=sys.stderr, flush=True)


def measure(settings):
    """All rounds; returns what goes into results.json."""
    begun, load_average = time.monotonic(), os.getloadavg()[0]
    if load_average > 1 and not settings.quick:
        say(f"others are at work here (load {load_average:.1f}): the spread will be wide")
    left_out = {}
    cpu, load = CpuPart(settings, left_out), LoadPart(settings, left_out)
    try:
        say("setting up the calls")
        cpu.build()
        say(f"processor time: {len(cpu.sites)} in turn at {', '.join(map(str, settings.levels))} "
            "calls")
        cpu.measure()
        cpu.close()
        say("delay, memory and commands")
        load.build()
        load.measure()
    finally:
        cpu.close()
        load.close()
        remove_namespaces()
    levels = figures.cpu_summary(cpu)
    for name in figures.overloaded(levels, settings.judged):
        say(f"{name} lost packets at {settings.judged} calls: what it was spared is not in its "
            "figure")
    bars = (figures.cpu_bars(levels, settings.judged) + figures.memory_bars(load.delay)
            + figures.control_bars(load.control) + figures.standing_bars(load.standing)
            + figures.delay_bars(load.delay))
    for level in levels.values():
        del level["rounds_added_ns"]
    return {
        "date": datetime.date.today().isoformat(), "commit": commit(),
        "machine": usage.machine(), "load_average": load_average,
        "seconds": round(time.monotonic() - begun),
        "settings": {"window_s": settings.window_s, "packets_a_call": PACKETS_A_CALL_S,
                     "delay_calls": settings.delay_calls, "delay_s": settings.delay_s},
        "left_out": left_out, "bars": bars, "cpu": levels,
        "delay": figures.delay_summary(load.delay),
        "memory_kib": figures.memory_summary(load.delay),
        "control": figures.control_summary(load.control),
        "standing": figures.standing_summary(load.standing)}


def commit():
    with contextlib.suppress(OSError):
        done = subprocess.run(["git", "-C", BENCH, "describe", "--always", "--dirty"],
                              capture_output=True, text=True)
        return done.stdout.strip() or "unknown"
    return "unknown"


def rounded(value):
    """Four digits are more than any of these figures has."""
    if isinstance(value, dict):
        return {key: rounded(each) for key, each in value.items()}
    if isinstance(value, list):
        return [rounded(each) for each in value]
    return float(f"{value:.4g}") if isinstance(value, float) else value


def write(path, text):
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    say(f"wrote {os.path.relpath(path)}")


def verdict_of_quick(results):
    for name in QUICK_NEEDS:
        if name in results["left_out"]:
            raise Failed(f"{name}: {results['left_out'][name]}")
    for name in (SLOW, FAST):
        if name not in results["left_out"] and results["delay"][name]["lost"] > 0:
            raise Failed(f"{name} lost packets of {results['delay'][name]['sent']}")
    for text in (report.to_markdown(results), plot.svg(results), json.dumps(results)):
        if not text:
            raise Failed("a report is empty")
    return MET


def main():
    settings = parse_arguments()
    check_that_it_can_run(settings)
    committed = None
    if settings.check:
        try:
            with open(DATA, encoding="utf-8") as file:
                committed = json.load(file)
        except OSError as error:
            raise CannotRun(f"{DATA}: {error.strerror}") from error
    results = rounded(measure(settings))
    print(json.dumps(results) if settings.json else report.to_terminal(results), flush=True)
    if settings.quick:
        return verdict_of_quick(results)
    if settings.check:
        found = figures.regressions(results["bars"], committed["bars"])
        for each in found:
            say(f"worse: {each}")
        return NOT_MET if found else MET
    write(DATA, json.dumps(results, indent=1) + "\n")
    write(PAGE, report.to_markdown(results))
    write(PLOT, plot.svg(results))
    return MET if all(each.get("held", True) for each in results["bars"]) else NOT_MET


if __name__ == "__main__":
    try:
        sys.exit(main())
    except CannotRun as reason:
        say(f"SKIPPED: {reason}")
        sys.exit(CANNOT_RUN)
    except Failed as error:
        say(error)
        sys.exit(RUN_FAILED)
