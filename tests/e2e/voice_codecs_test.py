#!/usr/bin/env python3
"""Callers with different codecs speak with AI endpoints: in what the caller hears, decoded with the
libraries that phones use, is the tone that the endpoint has said, and the endpoint hears the
caller's. Above 4 kHz too where the codec and the endpoint can. All packets have the caller's
payload type and the timestamps of its clock."""

import asyncio
import struct

import e2e
from direct import DirectStage
from phone_codecs import CODECS, CodedSource
from tones import seconds_of_tone, tone
from voices import LISTEN, Endpoint, check_one_stream, connect_to_ai, packet_of

# Codec, profile, what the caller says, what the endpoint says.
CASES = (("PCMU", "openai", 900, 600),
         ("PCMA", "twilio", 900, 600),
         ("G722", "l16", 5000, 4400),
         ("opus", "doubao", 5000, 4400))
SAID_S = 2.0


class Call:
    def __init__(self, stage, codec, profile, up_hz, down_hz):
        self.codec, self.profile, self.down_hz = CODECS[codec](), profile, down_hz
        self.name, self.call_id = codec, f"{codec}@example"
        self.label = f"{profile}/tones/{down_hz}/{up_hz}"
        self._stage = stage
        second = tone(up_hz, 1, self.codec.rate_hz)  # a whole number of periods
        step = self.codec.rate_hz // 50 * 2
        self.caller, self.callee = (stage.party(f"{codec}-{side}", lambda number: CodedSource(
            CODECS[codec](), number, lambda n: second[n % 50 * step:(n % 50 + 1) * step]))
            for side in "ab")

    async def connect(self):
        self.talk = await connect_to_ai(self._stage, self.call_id, self.caller, self.callee,
                                        self.profile, codecs=self.codec.payload_type)

    def check(self, endpoint):
        heard, = endpoint.events(self.label, "heard")
        # The caller is this process: what it sends late on a busy machine is filled in for.
        e2e.check(heard["of_tone"] >= 0.6 * heard["seconds"] >= 0.6 * SAID_S,
                  f"{self.name}: the endpoint heard {heard}")
        captured = [packet_of(*c) for c in self.caller.capture]
        check_one_stream(captured, self.name)
        types = {packet.type for packet in captured}
        e2e.check(types == {self.codec.payload_type}, f"{self.name}: payload types {types}")
        decoded = b"".join(self.codec.decode(packet.payload) for packet in captured)
        said_s = seconds_of_tone(decoded, self.down_hz, self.codec.rate_hz)
        e2e.check(abs(said_s - SAID_S) <= 0.2,
                  f"{self.name}: the caller heard {said_s:.2f} s of the endpoint's {SAID_S}")
        clocks = [struct.unpack("!I", d[4:8])[0] for _, d in self.caller.capture[-50:]]
        steps = [(b - a) & 0xFFFFFFFF for a, b in zip(clocks, clocks[1:])]
        # More only where the relay itself was held up.
        right = steps.count(self.codec.clock_hz // 50)
        e2e.check(right >= 0.8 * len(steps), f"{self.name}: timestamps rise by {set(steps)}")
        return f"{self.name} up {heard['of_tone']:.2f} of {heard['seconds']:.2f}, down {said_s:.2f}"


async def test(lab):
    config = lab.directory / "relay.toml"
    config.write_text("".join(
        f'[voice.{profile}]\ndriver = "{profile}"\n'
        f'url = "ws://{LISTEN}/{profile}/tones/{down_hz}/{up_hz}"\n'
        for _, profile, up_hz, down_hz in CASES))
    stage = DirectStage(lab, "--config", config)
    endpoint = Endpoint(lab)
    await stage.ready()
    await endpoint.wait_for("listening")
    calls = [Call(stage, *case) for case in CASES]
    for call in calls:
        await call.connect()
    for call in calls:
        await endpoint.wait_for("heard", call.label)
    for call in calls:
        call.talk.caller.mute()
        call.talk.callee.mute()
    told = [call.check(endpoint) for call in calls]
    for call in calls:
        stage.end(call.call_id)
    stage.close()
    e2e.figures("seconds of the other's tone: " + "; ".join(told))


e2e.run(test, limit_s=45)
