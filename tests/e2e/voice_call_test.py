#!/usr/bin/env python3
"""Kamailio connects the caller to a voice endpoint with rtpproxy_stream2uac("ai:bot", "-1"). The
caller speaks a phrase with a synthesiser; the endpoint recognises it and answers in words; what the
caller's phone hears is recognised again. All the time the caller hears one stream: one SSRC, no
sequence number missing, no packet more than 40 ms after the one before. The argument is the
protocol between relay and endpoint."""

import asyncio
import json
import os
import pathlib
import struct
import sys
import warnings
import wave

import e2e
from calls import Pair, Script, Stage, answering
from media import RTP
from netlab import CannotRun, require
from sip import sdp

warnings.simplefilter("ignore", DeprecationWarning)
import audioop  # noqa: E402  (in Debian 12's Python; gone in 3.13)

BOT = pathlib.Path(__file__).resolve().parents[2] / "tools/rtpp-voice-bot"
PHRASE = os.environ.get("VOICE_PHRASE", "please transfer my call")
PHRASES = ("hello", "good morning", "what time is it", "please transfer my call", "thank you",
           "i want to order a pizza", "cancel my appointment", "goodbye")
PACKET_SAMPLES = 160
DELTA_MAX_S = 0.040

PROFILES = {
    "twilio": 'driver = "twilio"\nurl = "ws://127.0.0.1:8765/"\n',
    "l16": 'driver = "l16"\nurl = "ws://127.0.0.1:8765/"\nrate_hz = 8000\n',
}


def calling():
    return (Script("alice", "bob").event("inviting", message=False).invite(sdp())
            .receive(100, optional=True).receive(180, optional=True).receive(200).ack()
            .event("answered").wait("may start", message=False)
            .request("INFO", header="X-Prompt: start-voice").receive(200)
            .wait("may stop", message=False)
            .request("INFO", header="X-Prompt: stop-uac").receive(200)
            .wait("may hang up", message=False).hang_up())


class SpeechSource:
    """RTP packets of A-law: quiet noise, and what it was last told to say."""
    interval_s = 0.020

    def __init__(self, source):
        self.ssrc = source.ssrc
        self._source = source
        self._audio = b""

    def say(self, pcm):
        self._audio = audioop.lin2alaw(pcm, 2)

    def packet(self, n):
        header = self._source.packet(n)[:12]
        payload, self._audio = self._audio[:PACKET_SAMPLES], self._audio[PACKET_SAMPLES:]
        quiet = struct.pack("<160h", *((n * 31 + i * 7919) % 41 - 20 for i in range(160)))
        return header + payload + audioop.lin2alaw(quiet, 2)[len(payload):]


def synthesise(lab, text):
    path = lab.directory / "phrase.wav"
    lab.run("relay", "flite", "-voice", "rms", "-t", text, "-o", path)
    with wave.open(str(path)) as file:
        pcm, rate = file.readframes(file.getnframes()), file.getframerate()
    return audioop.ratecv(pcm, 2, 1, rate, 8000, None)[0] if rate != 8000 else pcm


def speech_in(pcm, quiet_s=0.2):
    """From the first loud moment to the last, with a little of what is around: long silence in
    front spoils the recogniser's idea of the background."""
    step = 2 * PACKET_SAMPLES
    loud = [at for at in range(0, len(pcm), step) if audioop.rms(pcm[at:at + step], 2) > 200]
    e2e.check(loud, "the caller heard silence")
    margin = int(quiet_s * 8000) * 2
    return pcm[max(0, loud[0] - margin):loud[-1] + step + margin]


def recognise(lab, pcm):
    path, grammar = lab.directory / "heard.wav", lab.directory / "answers.gram"
    grammar.write_text("#JSGF V1.0;\ngrammar answers;\npublic <answer> = you said ( "
                       + " | ".join(PHRASES) + " );\n")
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, 16000, 0, "NONE", ""))
        file.writeframes(audioop.ratecv(pcm, 2, 1, 8000, 16000, None)[0])
    return " ".join(lab.run("relay", "pocketsphinx_continuous", "-infile", path, "-jsgf", grammar,
                            "-logfn", "/dev/null").split())


class Bot:
    def __init__(self, lab):
        self._log = lab.directory / "bot.log"
        self._process = lab.start("relay", "/usr/bin/python3", BOT, "--mode", "speech",
                                  output=self._log)

    def events(self):
        lines = self._log.read_text().splitlines() if self._log.exists() else []
        return [json.loads(line) for line in lines if line.startswith("{")]

    async def wait_for(self, event, timeout_s=15.0):
        for _ in range(int(timeout_s / 0.05)):
            e2e.check(self._process.poll() is None, f"the bot ended:\n{self._log.read_text()}")
            for found in self.events():
                if found["event"] == event:
                    return found
            await asyncio.sleep(0.05)
        e2e.check(False, f"the bot told no {event} within {timeout_s} s:\n{self._log.read_text()}")


def check_one_stream(captured):
    """Returns the longest time between two packets, in ms."""
    headers = [struct.unpack("!BBHII", d[:12]) for _, d in captured]
    ssrcs = {ssrc for *_, ssrc in headers}
    e2e.check(len(ssrcs) == 1, f"the caller heard {len(ssrcs)} streams: {ssrcs}")
    gaps = [(a, b) for (_, _, a, _, _), (_, _, b, _, _) in zip(headers, headers[1:])
            if (b - a) & 0xFFFF != 1]
    e2e.check(not gaps, f"sequence numbers that do not follow one another: {gaps[:5]}")
    times = [at for at, _ in captured]
    longest = max(b - a for a, b in zip(times, times[1:]))
    limit = DELTA_MAX_S * (5 if os.environ.get("RELAY_E2E_SLOW") else 1)
    e2e.check(longest <= limit, f"{longest * 1000:.1f} ms between two packets")
    return longest * 1000


async def test(lab):
    for program in ("flite", "pocketsphinx_continuous"):
        require(program)
    if os.system("/usr/bin/python3 -c 'import websockets' 2>/dev/null"):
        raise CannotRun("python3-websockets is not installed")
    config = lab.directory / "relay.toml"
    config.write_text(f"[voice.bot]\n{PROFILES[sys.argv[1]]}")
    stage = Stage(lab, options=("--config", config))
    bot = Bot(lab)
    alice_host, bob_host = stage.phone_behind_nat("alice", 1), stage.public_phone("bob", 2)
    await stage.ready()
    await bot.wait_for("listening")
    phrase = synthesise(lab, PHRASE)

    pair = await Pair(stage, alice_host, bob_host, calling(), answering()).start()
    a, b, inviting = await pair.next_call()
    invited, answered = await b.expect("invited"), await a.expect("answered")
    conversation = pair.converse(answered, inviting.local_port, invited)
    caller = conversation.caller
    speech = SpeechSource(caller._sources[RTP])
    caller._sources[RTP] = speech
    await conversation.open()
    caller.capture = []
    await conversation.talk(1.0)

    await a.expect("may start")
    a.go()
    await a.expect("may stop")
    await bot.wait_for("start")
    await asyncio.sleep(0.5)
    before = len(caller.capture)
    speech.say(phrase)
    turn = await bot.wait_for("turn")
    e2e.check(turn["heard"] == PHRASE, f"the bot understood '{turn['heard']}', not '{PHRASE}'")
    await bot.wait_for("mark")
    voices = json.loads(stage.control.send("J voices"))
    await asyncio.sleep(0.3)
    after = len(caller.capture)
    a.go()
    await a.expect("may hang up")
    await conversation.talk(1.0)
    told = [event["event"] for event in json.loads(stage.control.send("J events"))["events"]]
    await conversation.pause()
    # The callee heard the caller throughout; the caller heard the callee before and after.
    lost = {key: numbers for key, numbers in conversation.lost().items()
            if key[0] == caller.name and numbers}
    e2e.check(not lost, f"the callee's side lost {lost}")
    e2e.check(len(caller.capture) > after + 20, "the callee is not heard after the voice has gone")
    longest_ms = check_one_stream(caller.capture)
    heard = b"".join(d[12:] for _, d in caller.capture[before:after])
    words = recognise(lab, speech_in(audioop.alaw2lin(heard, 2)))
    e2e.check(PHRASE in words, f"the caller heard '{words}', not 'you said {PHRASE}'")
    e2e.check(told[0] == "started" and told[-1] == "ended", f"events: {told}")
    a.go()
    await pair.finished()
    stage.close()
    profile = voices["profiles"]["bot"]
    e2e.figures(f"understood '{turn['heard']}', heard '{words}', longest delta {longest_ms:.1f} ms")
    e2e.figures(f"turn {profile['turn']['p50_ms']:.0f} ms, of it {turn['thinking_ms']} the bot's; "
                f"up p99 {profile['up']['p99_ms']:.2f} ms, down p99 {profile['down']['p99_ms']:.1f} ms")


if len(sys.argv) != 2 or sys.argv[1] not in PROFILES:
    sys.exit(f"expected one of: {' '.join(PROFILES)}")
e2e.run(test)
