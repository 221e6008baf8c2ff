#!/usr/bin/env python3
"""rtpp-ctl and rtpp-load against the daemon, on every kind of control socket; no packet may be
lost or go astray."""

import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time

RELAY = os.environ["RELAY_BINARY"]
LOAD = os.environ["RELAY_LOAD_BINARY"]
CTL = str(pathlib.Path(LOAD).with_name("rtpp-ctl"))
SLOW = os.environ.get("RELAY_E2E_SLOW") == "1"
SKIPPED = 77


def check(condition, what):
    if not condition:
        sys.exit(f"FAILED: {what}")


class Lab:
    """A namespace with loopback up and the daemon on six control sockets."""

    def __init__(self, directory):
        self.name = f"toolstest-{os.getpid()}"
        self.sockets = ["udp:127.0.0.1:7722", "udp6:::1:7722", "tcp:127.0.0.1:7723",
                        "tcp6:::1:7723", f"unix:{directory}/one.sock",
                        f"cunix:{directory}/many.sock"]
        self.daemon = None

    def __enter__(self):
        made = subprocess.run(["ip", "netns", "add", self.name], stderr=subprocess.DEVNULL)
        if made.returncode != 0:
            print("skipped: network namespaces need root")
            sys.exit(SKIPPED)
        self.inside(["ip", "link", "set", "lo", "up"])
        command = [RELAY, "-f", "-F", "-l", "127.0.0.1", "-m", "35000", "-M", "64999"]
        for socket in self.sockets:
            command += ["-s", socket]
        self.daemon = subprocess.Popen(["ip", "netns", "exec", self.name] + command)
        return self

    def __exit__(self, *_):
        if self.daemon is not None:
            self.daemon.terminate()
            self.daemon.wait()
        subprocess.run(["ip", "netns", "delete", self.name], check=False)

    def inside(self, command):
        return subprocess.run(["ip", "netns", "exec", self.name] + command, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60)

    def ctl(self, socket, *words):
        return self.inside([CTL, "-s", socket, *words])

    def wait_until_it_answers(self):
        deadline = time.monotonic() + 20
        while self.ctl(self.sockets[-1], "ping").returncode != 0:
            check(self.daemon.poll() is None, "the daemon ended")
            check(time.monotonic() < deadline, "the daemon does not answer")
            time.sleep(0.05)


def test_ctl(lab):
    for number, socket in enumerate(lab.sockets):
        call = f"call-{number}"
        check(lab.ctl(socket, "ping").returncode == 0, f"ping on {socket}")
        for words in (["U", call, "127.0.0.1", "4000", "ft"],
                      ["L", call, "127.0.0.1", "4002", "ft", "tt"]):
            done = lab.ctl(socket, *words)
            check(done.returncode == 0 and done.stdout.endswith(" 127.0.0.1\n"),
                  f"{words} on {socket}: {done.stdout}{done.stderr}")
        listed = json.loads(lab.ctl(socket, "--json", "sessions").stdout)
        check([session["call_id"] for session in listed["sessions"]] == [call], f"list: {listed}")
        shown = lab.ctl(socket, "query", call)
        check("127.0.0.1:4002" in shown.stdout, f"query on {socket}: {shown.stdout}")
        check("active sessions" in lab.ctl(socket, "info").stdout, f"info on {socket}")
        check(lab.ctl(socket, "delete", call).returncode == 0, f"delete on {socket}")
        again = lab.ctl(socket, "D", call, "ft")
        check(again.returncode == 1 and again.stdout == "E50\n", f"deleted twice: {again.stdout}")
    check(lab.ctl("udp:127.0.0.1:9", "ping").returncode == 3, "where nobody listens")
    check(lab.ctl(lab.sockets[0], "no-such-command").returncode == 2, "a word that is no command")


def test_load(lab, *options, limit=("--fail-on-loss",)):
    calls = 10 if SLOW else 50
    done = lab.inside([LOAD, "--calls", str(calls), "--duration", "2", "--rtcp", "--json",
                       *limit, "--pid", str(lab.daemon.pid), *options])
    check(done.returncode == 0,
          f"rtpp-load {options}: {done.returncode} {done.stdout}{done.stderr}")
    report = json.loads(done.stdout)
    media = report["media"]
    check(report["calls_up"] == calls + report["calls_replaced"] and media["expected"] >= calls * 2 * 50, f"too few: {media}")
    print(f"{' '.join(options)}: {media['delivered']} of {media['expected']} packets, "
          f"{report['window'].get('relay_us_per_packet', 0):.1f} us of CPU each")
    return report


def test_find_max(lab, socket):
    """No delay keeps to a limit of a nanosecond, so that the search ends in few runs."""
    done = lab.inside([LOAD, "-s", socket, "--calls", "2", "--duration", "0.2", "--find-max",
                       "--max-p99-us", "0.001", "--json"])
    found = json.loads(done.stdout)
    check(done.returncode == 1 and found["max_calls"] == 0, f"a limit nobody keeps: {found}")
    check([each["calls"] for each in found["tries"]] == [2, 1], f"not bisected: {found['tries']}")
    check(all("p99 of the delay" in each["broken"][0] for each in found["tries"]),
          f"the limit is not named: {found['tries']}")


def main():
    with tempfile.TemporaryDirectory() as directory, Lab(directory) as lab:
        lab.wait_until_it_answers()
        test_ctl(lab)
        test_load(lab, "-s", lab.sockets[0])
        test_load(lab, "-s", lab.sockets[2], "--nat")
        test_load(lab, "-s", lab.sockets[4], "--endpoint-address", "127.0.0.2",
                  "--endpoint-address", "127.0.0.3")
        test_load(lab, "-s", lab.sockets[0], "--profile", "video", "--nat-share", "50")
        # While a phone moves, what is under way to its old place may arrive nowhere.
        busy = test_load(lab, "-s", lab.sockets[0], "--hold", "1", "--reinvite", "50",
                         limit=("--max-loss", "1"))
        check(busy["calls_replaced"] > 0 and busy["reinvites"] > 0, f"nothing changed: {busy}")
        test_find_max(lab, lab.sockets[0])
        listed = json.loads(lab.ctl(lab.sockets[0], "--json", "sessions").stdout)["sessions"]
        # Deleted by a D that names a to-tag, a session lingers for a further branch of a fork.
        left = [session for session in listed if not session.get("lingering")]
        check(not left, f"sessions left behind: {left}")


main()
