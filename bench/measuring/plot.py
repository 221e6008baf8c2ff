"""The figures as one SVG, without any library. Legible on a light and on a dark page."""
from xml.sax.saxutils import escape

from relays import FAST, FLOOR, NAT, RTPENGINE, RTPPROXY, SLOW

WIDTH, HEIGHT = 860, 380
PANEL_WIDTH, PANEL_HEIGHT, TOP = 330, 250, 46
COLOURS = {FAST: "#2da44e", NAT: "#8b949e", SLOW: "#3b82f6", FLOOR: "#b08800",
           RTPENGINE: "#e5534b", RTPPROXY: "#a371f7"}
STYLE = """
  text { font: 12px system-ui, sans-serif; fill: #57606a }
  .title { font-size: 14px; font-weight: 600 }
  .grid { stroke: #8b949e; stroke-opacity: .3 }
  .line { fill: none; stroke-width: 2 }
  @media (prefers-color-scheme: dark) { text { fill: #adbac7 } }
"""


def text(x, y, words, anchor="middle", style=""):
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{style}>{escape(words)}</text>'


class Panel:
    """One diagram; x and y are given as shares of its sides."""

    def __init__(self, left, title, y_label):
        self.left, self.parts = left, []
        self.parts.append(text(left, 20, title, "start", ' class="title"'))
        self.parts.append(text(left, 36, y_label, "start"))

    def at(self, x, y):
        return self.left + x * PANEL_WIDTH, TOP + (1 - y) * PANEL_HEIGHT

    def y_mark(self, y, words):
        left, height = self.at(0, y)
        self.parts.append(f'<line class="grid" x1="{left:.1f}" x2="{left + PANEL_WIDTH:.1f}" '
                          f'y1="{height:.1f}" y2="{height:.1f}"/>')
        self.parts.append(text(left - 6, height + 4, words, "end"))

    def x_mark(self, x, words):
        across, bottom = self.at(x, 0)
        self.parts.append(text(across, bottom + 18, words))

    def line(self, points, colour):
        places = [self.at(x, y) for x, y in points]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
        self.parts.append(f'<polyline class="line" stroke="{colour}" points="{path}"/>')
        self.parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" fill="{colour}"/>'
                       for x, y in places]


def cpu_panel(levels):
    """Share of one processor that the relaying takes, over the number of calls."""
    panel = Panel(52, "Processor time that relaying adds", "% of one processor, by calls")
    shares = {}
    for calls, level in levels.items():
        for name, added in level["added_ns"].items():
            packets_a_second = int(calls) * 100
            share = 100 * added["median"] * packets_a_second / 1e9
            shares.setdefault(name, []).append((int(calls), max(share, 0)))
    most_calls = max(map(int, levels))
    most = max(share for points in shares.values() for _, share in points)
    step = next(s for s in (1, 2, 5, 10, 20, 25, 50, 100, 200, 500) if most <= 6 * s or s == 500)
    top = step * (int(most / step) + 1)
    for mark in range(0, top + 1, step):
        panel.y_mark(mark / top, f"{mark}")
    for calls in levels:
        panel.x_mark(int(calls) / most_calls, f"{calls}")
    for name, points in shares.items():
        panel.line([(calls / most_calls, share / top) for calls, share in points], COLOURS[name])
    return panel


def delay_panel(delay):
    """Percentiles on a logarithmic scale of microseconds."""
    from math import log10
    panel = Panel(500, "One-way delay", "µs, logarithmic, by percentile")
    percentiles = ("p50_us", "p99_us", "p99.9_us")
    most = max(max(each[p]["median"] for p in percentiles) for each in delay.values())
    decades = max(1, int(log10(max(most, 1))) + 1)
    for decade in range(decades + 1):
        panel.y_mark(decade / decades, f"{10 ** decade:,}".replace(",", " "))
    for number, percentile in enumerate(percentiles):
        panel.x_mark((number + 0.5) / 3, percentile[:-3])
    for name, each in delay.items():
        panel.line([((number + 0.5) / 3, log10(max(each[p]["median"], 1)) / decades)
                    for number, p in enumerate(percentiles)], COLOURS[name])
    return panel


def legend(names):
    parts = []
    for number, name in enumerate(names):
        x, y = 52 + 135 * number, TOP + PANEL_HEIGHT + 54
        parts.append(f'<rect x="{x}" y="{y - 9}" width="18" height="4" rx="2" '
                     f'fill="{COLOURS[name]}"/>')
        parts.append(text(x + 24, y - 3, name, "start"))
    return parts


def svg(results):
    panels = [cpu_panel(results["cpu"]), delay_panel(results["delay"])]
    names = [name for name in COLOURS
             if any(name in level["added_ns"] for level in results["cpu"].values())]
    parts = [part for panel in panels for part in panel.parts] + legend(names)
    return (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
            f'width="{WIDTH}" height="{HEIGHT}" role="img">\n<style>{STYLE}</style>\n'
            + "\n".join(parts) + "\n</svg>\n")
