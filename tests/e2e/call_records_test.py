#!/usr/bin/env python3
"""Call records of real calls: what the CSV row and the line of JSON say is what the phones did. The
files are rotated, their disk is full, and no call notices."""

import asyncio
import csv
import json
import subprocess

import e2e
from calls import Pair, Stage
from case import CheckFailed, check
from media import RTCP, RTP, Figures
from netlab import CannotRun

CALLS = 4
SECONDS = 1.5


def mount_small_disk(path):
    path.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k,mode=755", "none", path],
                          capture_output=True, text=True)
    if done.returncode != 0:
        raise CannotRun(f"cannot mount a tmpfs: {done.stderr.strip()}")


async def eventually(what, found, within_s=15):
    give_up = asyncio.get_running_loop().time() + within_s
    while not (value := found()):
        if asyncio.get_running_loop().time() > give_up:
            raise CheckFailed(f"no {what} after {within_s} s")
        await asyncio.sleep(0.1)
    return value


def rows(path):
    if not path.exists():
        return []
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def check_row(row, call_id, conversation):
    check(len(row) == 54, f"{len(row)} columns, expected 54")
    check(None not in row and None not in row.values(), f"fields do not match the header: {row}")
    caller, callee = conversation.caller, conversation.callee
    expected = {
        "rec_ver": "1.2",
        "call_id": call_id,
        "rtp_npkts_ina": str(caller.sent_count[RTP]),
        "rtp_npkts_ino": str(callee.sent_count[RTP]),
        "rtp_nrelayed": str(caller.sent_count[RTP] + callee.sent_count[RTP]),
        "rtp_ndropped": "0",
        "rtcp_npkts_ina": str(caller.sent_count[RTCP]),
        "rtpa_nsent_ina": str(caller.sent_count[RTP]),
        "rtpa_nlost_ina": "0",
        "rtpa_pt_last_ino": "8",
        "rtpp_hld_sts_a": "f",
    }
    for name, value in expected.items():
        check(row[name] == value, f"{name} is {row[name]}, expected {value}: {row}")
    setup, teardown = float(row["setup_ts"]), float(row["teardown_ts"])
    first, last = float(row["first_rtp_ts_ina"]), float(row["last_rtp_ts_ina"])
    check(setup < first < last < teardown, f"times are out of order: {row}")
    check(last - first > SECONDS * 0.9, f"media lasted {last - first} s")


async def call(pair, figures):
    a, b, inviting = await pair.next_call()
    invited = await b.expect("invited")
    answered = await a.expect("answered")
    conversation = pair.converse(answered, inviting.local_port, invited)
    await conversation.open()
    await conversation.talk(SECONDS)
    figures.add(await conversation.finish())
    await a.expect("may hang up")
    a.go()
    return a.call_id, conversation


async def calls(stage, disk):
    csv_file, json_file = disk / "calls.csv", disk / "calls.json"
    alice_host, bob_host = stage.phone_behind_nat("alice", 1), stage.public_phone("bob", 2)
    await stage.ready()
    pair = await Pair(stage, alice_host, bob_host, calls=CALLS).start()
    total = Figures()

    call_id, conversation = await call(pair, total)
    first = (await eventually("row", lambda: rows(csv_file)))[0]
    check_row(first, call_id, conversation)
    line = json.loads((await eventually("line", json_file.read_text)).splitlines()[0])
    check(line["call_id"] == call_id and line["ended_by"] == "deleted", f"{line}")
    check(line["caller"]["rtp"]["received"] == conversation.caller.sent_count[RTP], f"{line}")
    check(line["callee"]["rtp_remote"].startswith(bob_host.address + ":"), f"{line}")

    rotated = disk / "calls.csv.1"
    csv_file.rename(rotated)
    call_id, conversation = await call(pair, total)
    check_row((await eventually("row after the rotation", lambda: rows(csv_file)))[0], call_id,
              conversation)
    check(rows(rotated) == [first], "the rotated file changed")

    csv_file.write_text("")  # rotated by copying
    filler = disk / "filler"
    with open(filler, "wb", buffering=0) as file:
        try:
            while file.write(b"x" * 1024):
                pass
        except OSError:
            pass
    await call(pair, total)
    log = stage.relay.log
    await eventually("word of the full disk in the log",
                     lambda: "call record lost" in log.read_text(errors="replace"))
    filler.unlink()

    call_id, conversation = await call(pair, total)
    found = await eventually("row once there is room", lambda: rows(csv_file))
    check_row(found[-1], call_id, conversation)
    check(len(found) == 1, f"{len(found)} rows, expected those of one call")

    odd = 'a,"b"'
    check(not stage.control.send(f"U {odd} 192.0.2.101 4000 ft").startswith("E"), "U was refused")
    check(stage.control.send(f"D {odd} ft") == "0", "D was refused")
    await eventually("row of an odd call-id", lambda: rows(csv_file)[-1]["call_id"] == odd)

    await pair.finished()
    total.check_perfect("calls with records", at_least=int(CALLS * 2 * SECONDS * 50))
    stage.close()
    text = log.read_text(errors="replace")
    check("records_failed=" in text, "the end does not say what was lost")
    e2e.figures(f"{CALLS} calls, {total}")


async def test(lab):
    disk = lab.directory / "disk"
    mount_small_disk(disk)
    try:
        await calls(Stage(lab, options=("--acct-csv", disk / "calls.csv", "--acct-json",
                                        disk / "calls.json", "--fork-grace", "1")), disk)
    finally:
        subprocess.run(["umount", "--lazy", disk], check=False)


e2e.run(test, limit_s=80)
