"""The results in words: for the terminal, and for bench/RESULTS.md."""
from relays import FLOOR, RTPPROXY

METHOD = """\
All ways of relaying are measured in turn, round after round, on the same machine and the same
flows, so that a busy moment meets all alike; figures are medians of the rounds, quartiles in
brackets, and what is judged are ratios.

- **Processor time**: each way of relaying has a network namespace between a sender's and a
  receiver's, on veth pairs, with all calls up throughout; one more drops the packets at its door, which
  is the base. One sender paces the same packets through them in turn ({window_s} s each, a packet of
  172 bytes, {packets_a_call} a second for a call); the receiver drops them at its door and counts. What a relay
  adds is the scheduler's run time of the sender, of all threads of the relay and of `ksoftirqd` (softirqs run
  in one of these), less the base's of the same round, over the packets.
- **Delay and memory**: {delay_calls} calls of `rtpp-load`, 50 packets a second each way, {delay_s} s once all are up,
  each relay started anew for each round. Delay runs from the sender's `sendto()` to the kernel's receive stamp; memory
  is what the relay's process has in RAM beyond what it had before the first call.
- **Commands**: one `rtpp-load` on one processor sets calls up and deletes them, 16 at a time; the
  relay has another one to itself. Then the same with many calls up (10,000 where there are four
  descriptors for each).
- The bare epoll relay does `recv()` and `send()` on connected sockets and nothing else: the floor
  of what a relay in user space can cost. rtpengine runs without its kernel module."""


def figure(values, digits=0, unit=""):
    return (f"{values['median']:,.{digits}f}{unit} ({values['low']:,.{digits}f}–"
            f"{values['high']:,.{digits}f})").replace(",", " ")


def table(head, rows):
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows])


def bar_rows(bars):
    for each in bars:
        wanted = f"{'≥' if each['at_least'] else '≤'} {each['bar']:g}"
        if each["value"] is None:
            yield each["what"], wanted, "not measured", "–"
        else:
            digits = 1 if each["value"] >= 5 else 2 if each["value"] >= 0.2 else 3
            yield (each["what"], wanted,
                   figure({**each, "median": each["value"]}, digits),
                   "held" if each["held"] else "**missed**")


def cpu_rows(level):
    floor = level["added_ns"].get(FLOOR)
    for name, added in level["added_ns"].items():
        of_floor = f"{added['median'] / floor['median']:.2f}" if floor else "–"
        lost = 100 * level["missing"][name] / level["sent"][name]
        yield (name, figure(added, 0, " ns"), of_floor,
               figure(level["machine_added_ns"][name], 0, " ns"), f"{lost:.3f} %")


def delay_rows(delay):
    for name, each in delay.items():
        yield (name, *(figure(each[p]) for p in ("p50_us", "p99_us", "p99.9_us")),
               f"{each['lost']} of {each['sent']}", f"{each['reordered']}")


def control_rows(control):
    for name, each in control.items():
        yield (name.replace("slow path", "rtpp-relay"), figure(each["commands_a_second"]),
               figure(each["relay_us_a_command"], 1, " us"),
               *(figure(each[p]) for p in ("p50_us", "p99_us", "max_us")), f"{each['failed']}")


def sections(results):
    """(title, head, rows) of each table."""
    yield "Against the bars", ("figure", "bar", "measured", ""), list(bar_rows(results["bars"]))
    for calls, level in results["cpu"].items():
        yield (f"Processor time a packet, {calls} calls, {int(calls) * 100} packets a second, "
               f"{level['rounds']} rounds",
               ("", "adds", "of the floor", "whole machine, others' work included", "lost"),
               list(cpu_rows(level)))
    yield ("Delay in microseconds", ("", "p50", "p99", "p99.9", "lost", "reordered"),
           list(delay_rows(results["delay"])))
    yield ("Memory a call", ("", "KiB"),
           [(name, figure(each, 1)) for name, each in results["memory_kib"].items()])
    yield ("Commands", ("", "a second", "relay's CPU each", "p50 us", "p99 us", "max us", "failed"),
           list(control_rows(results["control"])))
    yield ("Many calls, set up as fast as they are answered, 16 at a time",
           ("", "calls", "seconds", "p50 us", "p99 us", "max us", "commands a second with them up"),
           [(name.replace("slow path", "rtpp-relay"), str(each["calls"]),
             figure(each["seconds"], 2), *(figure(each[p]) for p in ("p50_us", "p99_us", "max_us")),
             figure(each["meanwhile_a_second"])) for name, each in results["standing"].items()])


def to_markdown(results):
    machine, settings = results["machine"], results["settings"]
    parts = ["# Results of bench/compare",
             f"{results['date']}, commit {results['commit']}. {machine['processors']} x "
             f"{machine['processor']} (virtualisation: {machine['virtual']}), {machine['system']}, "
             f"Linux {machine['kernel']}, load average at the start "
             f"{results['load_average']:.2f}; {results['seconds']} s.",
             "![Processor time by calls, and delay](results.svg)"]
    for title, head, rows in sections(results):
        parts += [f"## {title}", table(head, rows)]
    missing = [f"- {name}: {why.splitlines()[0]}" for name, why in results["left_out"].items()]
    if missing:
        parts += ["## Not measured here", "\n".join(missing)]
    parts += ["## Method", METHOD.format(**settings)]
    return "\n\n".join(parts) + "\n"


def to_terminal(results):
    lines = []
    for title, head, rows in sections(results):
        lines += ["", title]
        widths = [max(len(row[i]) for row in [head, *rows]) for i in range(len(head))]
        lines += ["  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip()
                  for row in [head, *rows]]
    lines += ["", *(f"Not measured: {name}: {why}" for name, why in results["left_out"].items()
                    if name != RTPPROXY or "not there" not in why)]
    return "\n".join(lines).replace("**", "")
