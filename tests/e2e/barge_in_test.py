#!/usr/bin/env python3
"""The caller interrupts: once an endpoint of each protocol has said so, at most one more packet of
its answer leaves. Marks come back in order, each when the audio before it was sent, or with the
clear. What the endpoint still sends of the answer that was cut is not heard, the next answer is, a
very short one too; and all of it is one stream. The callee hears the caller throughout.

AudioSocket has no word for it: a server that notices falls silent, and what the relay has of its
answer is heard to the end; for one that does not, there is barge_in_after_ms."""

import asyncio
import time

import e2e
from direct import DirectStage
from media import AudioSource
from netlab import require
from phone_codecs import CodedSource, Pcma
from tones import audioop, is_tone, tone
from voices import (LISTEN, Endpoint, check_one_stream, connect_to_ai, notices, packet_of,
                    wait_for_notice)

PACKET_S = 0.020
LONG_HZ, STALE_HZ, NEXT_HZ = 440, 1500, 1000
PROTOCOLS = ("twilio", "l16", "openai", "doubao", "doubao-v3")
BARGE_IN_AFTER_S, SPEECH_S = 0.3, 1.0
PREBUFFER_MAX = 10  # packets, after underruns
LONG_MARKS = [f"long-{n}" for n in range(1, 7)]


class Call:
    def __init__(self, stage, protocol, source=AudioSource):
        self.protocol, self.call_id = protocol, f"{protocol}@example"
        self.label = f"{protocol}/barge"
        self._stage = stage
        self.caller = stage.party(f"{protocol}-a", source)
        self.callee = stage.party(f"{protocol}-b")

    async def connect(self):
        self.talk = await connect_to_ai(self._stage, self.call_id, self.caller, self.callee,
                                        self.protocol)

    def heard(self, hz):
        return [p for p in self.packets
                if is_tone(audioop.alaw2lin(p.payload, 2), hz, 8000)]

    async def play(self, endpoint):
        await endpoint.wait_for("done", self.label)

    def check_streams(self):
        lost = [numbers for key, numbers in self.talk.lost().items() if key[0] == self.caller.name]
        e2e.check(not any(lost), f"{self.protocol}: the callee's side lost {lost}")
        self.packets = [packet_of(*captured) for captured in self.caller.capture]
        check_one_stream(self.packets, self.protocol)
        long, stale, short = (self.heard(hz) for hz in (LONG_HZ, STALE_HZ, NEXT_HZ))
        e2e.check(len(long) > 50, f"{self.protocol}: only {len(long)} packets of the long answer")
        e2e.check(not stale, f"{self.protocol}: {len(stale)} packets of an answer that was cut")
        # Resampling smears the ends of a tone; a very short one is two or three packets.
        e2e.check(24 <= len(short) <= 30, f"{self.protocol}: {len(short)} packets of what followed")
        return long

    def check_cut(self, long, notice):
        # When the relay told of it, it had been done.
        done_at = notice["time_ms"] / 1000 + 0.001
        after = [p for p in long if p.time > done_at]
        e2e.check(len(after) <= 1, f"{self.protocol}: {len(after)} packets once it was cleared")
        e2e.check(abs(notice["played_ms"] - 20 * len(long)) <= 60,
                  f"{self.protocol}: {notice['played_ms']} ms are said to have been heard, "
                  f"the caller got {20 * len(long)}")
        return done_at

    def interruptions(self):
        return [n for n in notices(self._stage, self.call_id) if n["event"] == "user-interrupted"]

    def check(self, endpoint):
        long = self.check_streams()
        sent, = endpoint.events(self.label, "clear")
        notice, = self.interruptions()
        done_at = self.check_cut(long, notice)
        on_the_way_s = max(0.0, done_at - sent["time"])
        late = [p for p in long if p.time > sent["time"]]
        # A worker that was held up sends what is due in one go, three packets at most.
        e2e.check(len(late) <= 4 + on_the_way_s / PACKET_S,
                  f"{self.protocol}: {len(late)} packets in {on_the_way_s} s after the clear")
        if marks := endpoint.events(self.label, "mark"):
            self.check_marks(marks, long, sent["time"])
        return (f"{self.protocol} {len(late)} within {1000 * on_the_way_s:.0f} ms"
                f" (last {1000 * (long[-1].time - sent['time']):+.1f})")

    async def end(self):
        self._stage.end(self.call_id)
        await wait_for_notice(self._stage, self.call_id, {"event": "ended", "outcome": "stopped"})

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


class SocketCall(Call):
    """The caller makes hardly a sound, and then speaks for a second."""

    def __init__(self, stage, script):
        super().__init__(stage, script.replace("_", "-"),
                         lambda number: CodedSource(Pcma(), number, self.says))
        self.label, self.speaks = f"audiosocket/{script}", False
        self.quiet, self.loud = tone(50, 0.02, 8000), tone(300, 0.02, 8000)
        self.quiet = audioop.mul(self.quiet, 2, 0.005)

    def says(self, _):
        return self.loud if self.speaks else self.quiet

    async def play(self, endpoint):
        await endpoint.wait_for("answer", self.label)
        await asyncio.sleep(2.3)
        self.spoke_at, self.speaks = time.time(), True
        await asyncio.sleep(SPEECH_S)
        self.speaks = False
        await super().play(endpoint)


class DeafServer(SocketCall):
    def check(self, endpoint):
        long = self.check_streams()
        notice, = self.interruptions()
        after_s = self.check_cut(long, notice) - self.spoke_at
        e2e.check(BARGE_IN_AFTER_S - 0.1 <= after_s <= SPEECH_S,
                  f"{self.protocol}: interrupted after {after_s} s of speech")
        return f"{self.protocol} cut after {1000 * after_s:.0f} ms of speech"


class HearingServer(SocketCall):
    def check(self, endpoint):
        long = self.check_streams()
        sent, = endpoint.events(self.label, "clear")
        late = [p for p in long if p.time > sent["time"]]
        e2e.check(len(late) <= PREBUFFER_MAX + 2, f"{self.protocol}: {len(late)} packets late")
        e2e.check(not self.interruptions(), f"{self.protocol}: it had nothing to tell")
        return f"{self.protocol} {len(late)} after the last record"

    async def end(self):
        await wait_for_notice(self._stage, self.call_id, {"event": "ended", "outcome": "finished"})
        self._stage.end(self.call_id)


async def test(lab):
    require("ip")
    config = lab.directory / "relay.toml"
    host, port = LISTEN.rsplit(":", 1)
    config.write_text("".join(
        f'[voice.{name}]\ndriver = "{name.removesuffix("-v3")}"\n'
        f'url = "ws://{LISTEN}/{name}/barge"\n' + 'dialect = "v3"\n' * name.endswith("-v3")
        for name in PROTOCOLS) +
        f'[voice.at-once]\ndriver = "audiosocket"\nurl = "tcp://{host}:{int(port) + 1}"\n'
        f'barge_in_after_ms = {1000 * BARGE_IN_AFTER_S:.0f}\n'
        f'[voice.paced]\ndriver = "audiosocket"\nurl = "tcp://{host}:{int(port) + 2}"\n')
    stage = DirectStage(lab, "--config", config)
    endpoint = Endpoint(lab)
    await stage.ready()
    await endpoint.wait_for("listening")
    calls = [Call(stage, protocol) for protocol in PROTOCOLS]
    calls += [DeafServer(stage, "at_once"), HearingServer(stage, "paced")]
    for call in calls:
        await call.connect()
    await asyncio.gather(*(call.play(endpoint) for call in calls))
    for call in calls:
        call.talk.caller.mute()
        call.talk.callee.mute()
    await asyncio.sleep(0.3)
    told = [call.check(endpoint) for call in calls]
    for call in calls:
        await call.end()
    stage.close()
    e2e.figures("packets after the clear: " + ", ".join(told))


e2e.run(test, limit_s=60)
