"""From the rounds of a run to figures, ratios and verdicts. Pure."""
import statistics

from relays import BASE, FAST, NAT, PEERS, SLOW

# By how much a ratio may be worse than the committed one, as a share of it: what it moves by from
# run to run on a machine that is not quite quiet.
TOLERANCES = {"cpu": 0.20, "memory": 0.10, "control": 0.30, "delay": 2.00}

# A share of the packets; a relay that loses them is spared their sending.
OVERLOADED = 0.005


def spread(values):
    """Median and the quartiles around it."""
    ordered = sorted(values)
    low, high = (ordered[round(q * (len(ordered) - 1))] for q in (0.25, 0.75))
    return {"median": statistics.median(ordered), "low": low, "high": high}


def cpu_summary(part):
    levels = {}
    for calls, figures in part.figures.items():
        base = figures[BASE]
        added = {name: [own - base_own for (own, _), (base_own, _) in zip(rounds, base)]
                 for name, rounds in figures.items() if name != BASE}
        machine = {name: spread([all_ - base_all for (_, all_), (_, base_all)
                                 in zip(rounds, base)])
                   for name, rounds in figures.items() if name != BASE}
        levels[calls] = {
            "rounds": len(base), "base_ns": spread([own for own, _ in base]),
            "added_ns": {name: spread(values) for name, values in added.items()},
            "machine_added_ns": machine, "rounds_added_ns": added,
            "sent": part.sent[calls], "missing": part.missing[calls]}
    return levels


def overloaded(levels, judged):
    level = levels[judged]
    return [name for name, missing in level["missing"].items()
            if missing > OVERLOADED * level["sent"][name]]


def delay_summary(reports):
    percentiles = ("p50_us", "p99_us", "p99.9_us", "max_us")
    return {name: {
        "rounds": len(rounds),
        **{p: spread([each["one_way_delay"][p] for each in rounds]) for p in percentiles},
        **{what: sum(each["media"][what] for each in rounds)
           for what in ("sent", "lost", "reordered", "duplicated", "misdelivered")},
        "generator_late_p99_us": spread([each["send_lateness"]["p99_us"] for each in rounds]),
    } for name, rounds in reports.items()}


def memory_a_call_kib(report):
    memory = report["memory"]
    return (memory["peak_kib"] - memory["before_kib"]) / report["calls"]


def memory_summary(reports):
    return {name: spread([memory_a_call_kib(each) for each in rounds])
            for name, rounds in reports.items()}


def commands_a_second(report):
    return report["window"]["commands"] / report["window"]["seconds"]


def control_summary(reports):
    return {name: {
        "rounds": len(rounds),
        "commands_a_second": spread([commands_a_second(each) for each in rounds]),
        "relay_us_a_command": spread([each["window"]["relay_cpu_s"] * 1e6 /
                                      each["window"]["commands"] for each in rounds]),
        **{p: spread([each["commands"]["latency"][p] for each in rounds])
           for p in ("p50_us", "p99_us", "max_us")},
        "failed": sum(each["commands"]["refused"] + each["commands"]["unanswered"]
                      for each in rounds),
    } for name, rounds in reports.items()}


def slowest_ms(report):
    return report["standing"]["commands"]["latency"]["max_us"] / 1000


def standing_summary(reports):
    return {name: {
        "calls": rounds[0]["standing"]["calls"],
        "seconds": spread([each["standing"]["seconds"] for each in rounds]),
        **{p: spread([each["standing"]["commands"]["latency"][p] for each in rounds])
           for p in ("p50_us", "p99_us", "max_us")},
        "meanwhile_a_second": spread([commands_a_second(each) for each in rounds]),
    } for name, rounds in reports.items()}


def better(figures, at_best=min):
    """The peer that does better, or nothing without peers."""
    there = [name for name in PEERS if name in figures]
    return at_best(there, key=lambda name: figures[name]) if there else None


def ratio(kind, text, bar, ours, theirs, at_least=False):
    """Round by round: what drifts meanwhile meets both."""
    if not ours or not theirs:
        return {"kind": kind, "what": text, "bar": bar, "at_least": at_least, "value": None}
    rounds = spread([a / b for a, b in zip(ours, theirs)])
    value = rounds["median"]
    return {"kind": kind, "what": text, "bar": bar, "at_least": at_least, "value": value,
            "low": rounds["low"], "high": rounds["high"],
            "held": value >= bar if at_least else value <= bar}


def cpu_bars(levels, judged):
    added = levels[judged]["rounds_added_ns"]
    peer = better({name: statistics.median(values) for name, values in added.items()})
    to_peer = peer or "a user-space peer"
    of = added.get
    return [ratio("cpu", f"slow path / {to_peer}, CPU added to a packet", 0.60, of(SLOW), of(peer)),
            ratio("cpu", "fast path / nft NAT, CPU added to a packet", 0.65, of(FAST), of(NAT)),
            ratio("cpu", f"fast path / {to_peer}, CPU added to a packet", 0.12, of(FAST),
                  of(peer))]


def memory_bars(reports):
    return [ratio("memory", f"{name}, KiB of memory a call", 12,
                  [memory_a_call_kib(each) for each in reports.get(name, [])],
                  [1 for _ in reports.get(name, [])]) for name in (SLOW, FAST)]


def control_bars(reports):
    rates = {name: [commands_a_second(each) for each in rounds]
             for name, rounds in reports.items()}
    peer = better({name: statistics.median(rate) for name, rate in rates.items()}, at_best=max)
    return [ratio("control", f"rtpp-relay / {peer or 'a peer'}, commands a second on one CPU", 2,
                  rates.get(SLOW), rates.get(peer), at_least=True)]


def standing_bars(reports):
    """A command that fails ends the run."""
    rounds = reports.get(SLOW, [])
    return [ratio("delay", "rtpp-relay, slowest command in ms while all calls are set up", 50,
                  [slowest_ms(each) for each in rounds], [1 for _ in rounds])]


def delay_bars(reports):
    def of(name, percentile):
        return [each["one_way_delay"][percentile] for each in reports.get(name, [])]
    peer = better({name: statistics.median(of(name, "p99_us")) for name in reports})
    return [ratio("delay", f"{ours}, p99.9 of the delay / p99 of {peer or 'a peer'}", 1,
                  of(ours, "p99.9_us"), of(peer, "p99_us")) for ours in (SLOW, FAST)]


def regressions(bars, committed):
    """What became worse than the committed figures by more than the tolerance, in words."""
    before = {(each["kind"], each["what"].split(",")[0]): each for each in committed}
    found = []
    for each in bars:
        old = before.get((each["kind"], each["what"].split(",")[0]))
        if old is None or each["value"] is None or old["value"] is None:
            continue
        tolerance = TOLERANCES[each["kind"]]
        worse = (old["value"] / each["value"] if each["at_least"]
                 else each["value"] / old["value"]) - 1
        if worse > tolerance:
            found.append(f"{each['what']}: {each['value']:.3g}, committed {old['value']:.3g}, "
                         f"{100 * worse:.0f} % worse (tolerated: {100 * tolerance:.0f} %)")
    return found
