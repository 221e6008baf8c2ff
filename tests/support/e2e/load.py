"""Calls by the hundred: rtpp-load on the relay's host, and its report."""

import asyncio
import json
import os

from case import CheckFailed, check
from relay import relay_binary


def program(variable, name):
    path = os.environ.get(variable) or os.path.join(os.path.dirname(relay_binary()), name)
    if not os.access(path, os.X_OK):
        raise CheckFailed(f"'{path}' ({variable}) is not a program; it is the target {name}")
    return path


async def run_load(lab, relay, calls, seconds, *options, name="load"):
    output = lab.directory / f"{name}.json"
    process = lab.start("relay", program("RELAY_LOAD_BINARY", "rtpp-load"), "--socket",
                        relay.control_urls[0], "--calls", calls, "--duration", seconds, "--json",
                        "--pid", relay.process.pid, *options, output=output)
    while process.poll() is None:
        relay.check_alive()
        await asyncio.sleep(0.1)
    text = output.read_text()
    check(process.returncode == 0, f"rtpp-load ended with {process.returncode}: {text[-600:]}")
    return json.loads(text[text.index("{"):])


def check_whole(report, calls):
    """All calls were set up, and each packet arrived once, where it should."""
    check(report["calls_up"] == calls and report["calls_failed"] == 0,
          f"{report['calls_failed']} calls failed: {report['first_error']}")
    for what in ("lost", "misdelivered", "wrong_source", "foreign", "duplicated"):
        check(report["media"][what] == 0, f"{report['media'][what]} packets {what}")
