#!/usr/bin/env python3
"""The caller interrupts: once an endpoint of each protocol has said so, at most one more packet of
its answer leaves. Marks come back in order, each when the audio before it was sent, or with the
clear. What the endpoint still sends of the answer that was cut is not heard, the next answer is, a
very short one too; and all of it is one stream. The callee hears the caller throughout."""

import asyncio

import e2e
from direct import DirectStage
from netlab import require
from tones import audioop, is_tone
from voices import (LISTEN, Endpoint, check_one_stream, connect_to_ai, notices, packet_of,
                    wait_for_notice)

PACKET_S = 0.020
LONG_HZ, STALE_HZ, NEXT_HZ = 440, 1500, 1000
PROTOCOLS = ("twilio", "l16", "openai", "doubao")
LONG_MARKS = [f"long-{n}" for n in range(1, 7)]


class Call:
    def __init__(self, stage, protocol):
        self.protocol, self.call_id = protocol, f"{protocol}@example"
        self.label = f"{protocol}/barge"
        self._stage = stage
        self.caller = stage.party(f"{protocol}-a")
        self.callee = stage.party(f"{protocol}-b")

    async def connect(self):
        self.talk = await connect_to_ai(self._stage, self.call_id, self.caller, self.callee,
                                        self.protocol)

    def heard(self, hz):
        return [p for p in self.packets
                if is_tone(audioop.alaw2lin(p.payload, 2), hz, 8000)]

    def check(self, endpoint):
        lost = [numbers for key, numbers in self.talk.lost().items() if key[0] == self.caller.name]
        e2e.check(not any(lost), f"{self.protocol}: the callee's side lost {lost}")
        self.packets = [packet_of(*captured) for captured in self.caller.capture]
        check_one_stream(self.packets, self.protocol)
        long, stale, short = (self.heard(hz) for hz in (LONG_HZ, STALE_HZ, NEXT_HZ))
        sent, = endpoint.events(self.label, "clear")
        notice, = [n for n in notices(self._stage, self.call_id)
                   if n["event"] == "user-interrupted"]
        # When the relay told of it, it had been done.
        done_at = notice["time_ms"] / 1000 + 0.001
        on_the_way_s = max(0.0, done_at - sent["time"])
        late = [p for p in long if p.time > sent["time"]]
        after = [p for p in late if p.time > done_at]
        e2e.check(len(after) <= 1, f"{self.protocol}: {len(after)} packets once it was cleared")
        # A worker that was held up sends what is due in one go, three packets at most.
        e2e.check(len(late) <= 4 + on_the_way_s / PACKET_S,
                  f"{self.protocol}: {len(late)} packets in {on_the_way_s} s after the clear")
        e2e.check(not stale, f"{self.protocol}: {len(stale)} packets of an answer that was cut")
        e2e.check(len(long) > 50, f"{self.protocol}: only {len(long)} packets of the long answer")
        e2e.check(abs(notice["played_ms"] - 20 * len(long)) <= 60,
                  f"{self.protocol}: {notice['played_ms']} ms are said to have been heard, "
                  f"the caller got {20 * len(long)}")
        # Resampling smears the ends of a tone; a very short one is two or three packets.
        e2e.check(24 <= len(short) <= 30, f"{self.protocol}: {len(short)} packets of what followed")
        if marks := endpoint.events(self.label, "mark"):
            self.check_marks(marks, long, sent["time"])
        return (f"{self.protocol} {len(late)} within {1000 * on_the_way_s:.0f} ms"
                f" (last {1000 * (long[-1].time - sent['time']):+.1f})")

    def check_marks(self, marks, long, cleared_at):
        names = [mark["name"] for mark in marks]
        e2e.check(names == [*LONG_MARKS, "short", "tail"], f"{self.protocol}: marks {names}")
        fates = [mark["fate"] for mark in marks]
        if any(fates):
            played = fates.index("cleared")
            e2e.check(fates == ["playout"] * played + ["cleared"] * (6 - played) + ["playout"] * 2,
                      f"{self.protocol}: marks answered {fates}")
        # The frame is taken just before it is sent, and told of at any time after that.
        for n, mark in enumerate(marks[:6]):
            before = sum(p.time <= mark["time"] for p in long)
            e2e.check(mark["time"] > cleared_at or before >= 50 * (n + 1) - 1,
                      f"{self.protocol}: {mark['name']} after {before} packets")
        after_s = [mark["time"] - cleared_at for mark in marks]
        e2e.check(after_s[0] < 0 <= after_s[5], f"{self.protocol}: marks {after_s} after the clear")


async def test(lab):
    require("ip")
    config = lab.directory / "relay.toml"
    config.write_text("".join(
        f'[voice.{name}]\ndriver = "{name}"\nurl = "ws://{LISTEN}/{name}/barge"\n'
        for name in PROTOCOLS))
    stage = DirectStage(lab, "--config", config)
    endpoint = Endpoint(lab)
    await stage.ready()
    await endpoint.wait_for("listening")
    calls = [Call(stage, protocol) for protocol in PROTOCOLS]
    for call in calls:
        await call.connect()
    for call in calls:
        await endpoint.wait_for("done", call.label)
    for call in calls:
        call.talk.caller.mute()
        call.talk.callee.mute()
    await asyncio.sleep(0.3)
    told = [call.check(endpoint) for call in calls]
    for call in calls:
        stage.end(call.call_id)
        await wait_for_notice(stage, call.call_id, {"event": "ended", "outcome": "stopped"})
    stage.close()
    e2e.figures("packets after the clear: " + ", ".join(told))


e2e.run(test, limit_s=60)
