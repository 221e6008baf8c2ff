#!/usr/bin/python3
"""Scripted AI endpoints of six protocols: `voice_endpoint.py HOST:PORT`.

The URL says what happens: ws://HOST:PORT/PROTOCOL/SCRIPT/ARGUMENT…. AudioSocket has no URLs: it is
spoken on the ports above, one for each of SOCKET_SCRIPTS. What is sent and what comes is told on
standard output, one JSON object a line, with the time of day: before something is sent, after it
has come. Written apart from the relay's drivers, after the services' documents.
"""
import asyncio
import base64
import json
import struct
import sys
import time

sys.dont_write_bytecode = True

import websockets  # noqa: E402
from tones import audioop, seconds_of_tone, tone  # noqa: E402


class Dialogue:
    """One connection. A protocol reads with `receive()`, which returns ("audio", samples),
    ("mark", name and fate), ("other", message) or None; and says what it can."""
    rate_in = rate_out = 8000
    has_marks = fences = False

    def __init__(self, ws):
        self.ws = ws
        self.label = ws.path.strip("/")
        self.hears = asyncio.Event()
        self.audio = bytearray()
        self.frames = 0

    def log(self, event, **more):
        print(json.dumps({"time": time.time(), "call": self.label, "event": event, **more}),
              flush=True)

    async def listen(self):
        try:
            while True:
                kind, value = await self.receive() or (None, None)
                if kind == "audio":
                    self.frames += 1
                    self.audio += value
                    self.hears.set()
                elif kind == "mark":
                    self.log("mark", name=value[0], fate=value[1])
        except websockets.ConnectionClosed as closed:
            self.log("closed", code=closed.code)

    async def begin(self):
        """Until audio may be sent."""

    async def begin_reply(self):
        pass

    async def end_reply(self):
        pass

    async def mark(self, name):
        pass

    async def say_stale(self, pcm):
        """Audio of the reply that was cut, where the protocol lets the client tell."""


class Twilio(Dialogue):
    has_marks = True

    async def receive(self):
        message = json.loads(await self.ws.recv())
        if message["event"] == "media":
            return "audio", audioop.ulaw2lin(base64.b64decode(message["media"]["payload"]), 2)
        if message["event"] == "mark":
            return "mark", (message["mark"]["name"], "")
        return "other", message

    async def begin(self):
        while True:
            kind, message = await self.receive()
            if kind == "other" and message["event"] == "start":
                self.sid = message["streamSid"]
                return

    async def _send(self, event, **more):
        await self.ws.send(json.dumps({"event": event, "streamSid": self.sid, **more}))

    async def say(self, pcm):
        payload = base64.b64encode(audioop.lin2ulaw(pcm, 2)).decode()
        await self._send("media", media={"payload": payload})

    async def mark(self, name):
        await self._send("mark", mark={"name": name})

    async def clear(self):
        await self._send("clear")


class L16(Dialogue):
    has_marks = True

    async def receive(self):
        message = await self.ws.recv()
        if isinstance(message, bytes):
            return "audio", message
        message = json.loads(message)
        if message.get("type") == "mark":
            return "mark", (message["data"]["name"], message["data"]["event"])
        return "other", message

    async def begin(self):
        about = json.loads(await self.ws.recv())
        self.rate_in = self.rate_out = about["sampleRate"]

    async def say(self, pcm):
        await self.ws.send(pcm)

    async def mark(self, name):
        await self.ws.send(json.dumps({"type": "mark", "data": {"name": name}}))

    async def clear(self):
        await self.ws.send(json.dumps({"type": "killAudio"}))


class Openai(Dialogue):
    fences = True
    replies = 0

    async def receive(self):
        message = json.loads(await self.ws.recv())
        if message["type"] == "input_audio_buffer.append":
            octets = base64.b64decode(message["audio"])
            return "audio", self.to_pcm(octets)
        if message["type"] == "conversation.item.truncate":
            self.log("truncate", audio_end_ms=message["audio_end_ms"])
        return "other", message

    async def _send(self, kind, **more):
        await self.ws.send(json.dumps({"type": kind, **more}))

    async def begin(self):
        await self._send("session.created", session={"id": "session"})
        kind, message = await self.receive()
        assert message["type"] == "session.update", message
        audio = message["session"]["audio"]
        assert audio["input"]["format"] == audio["output"]["format"], audio
        name = audio["input"]["format"]["type"]
        self.log("format", name=name)
        if name == "audio/pcm":
            self.rate_in = self.rate_out = audio["input"]["format"]["rate"]
            self.to_pcm = self.from_pcm = bytes
        else:
            is_mu = {"audio/pcmu": True, "audio/pcma": False}[name]
            self.to_pcm = lambda o: audioop.ulaw2lin(o, 2) if is_mu else audioop.alaw2lin(o, 2)
            self.from_pcm = lambda p: audioop.lin2ulaw(p, 2) if is_mu else audioop.lin2alaw(p, 2)
        await self._send("session.updated", session=message["session"])

    async def begin_reply(self):
        self.replies += 1
        await self._send("response.created", response={"id": f"response-{self.replies}"})

    async def say(self, pcm):
        await self._send("response.output_audio.delta", response_id=f"response-{self.replies}",
                         item_id=f"item-{self.replies}", output_index=0, content_index=0,
                         delta=base64.b64encode(self.from_pcm(pcm)).decode())

    say_stale = say

    async def end_reply(self):
        await self._send("response.output_audio.done", response_id=f"response-{self.replies}")
        await self._send("response.done", response={"id": f"response-{self.replies}",
                                                    "status": "completed"})

    async def clear(self):
        await self._send("input_audio_buffer.speech_started", audio_start_ms=0, item_id="caller")


class Doubao(Dialogue):
    rate_in, rate_out, fences = 16000, 24000, True
    session, replies = "", 0

    async def _send(self, event, body, ident=None, audio=False):
        payload = body if audio else json.dumps(body).encode()
        ident = (self.session if ident is None else ident).encode()
        await self.ws.send(bytes([0x11, 0xB4 if audio else 0x94, 0x00 if audio else 0x10, 0]) +
                           struct.pack(">II", event, len(ident)) + ident +
                           struct.pack(">I", len(payload)) + payload)

    async def receive(self):
        data = await self.ws.recv()
        event, = struct.unpack(">I", data[4:8])
        at = 8
        if event not in (1, 2):
            size, = struct.unpack(">I", data[8:12])
            self.session = data[12:12 + size].decode()
            at += 4 + size
        body = data[at + 4:]
        if event == 200:
            return "audio", body
        if event == 102:
            await self._send(152, {})
        elif event == 2:
            await self._send(52, {}, "connection")
        return "other", event

    async def begin(self):
        assert await self.receive() == ("other", 1)
        await self._send(50, {}, "connection")
        assert await self.receive() == ("other", 100)
        await self._send(150, {"dialog_id": "dialogue"})

    async def begin_reply(self):
        self.replies += 1
        await self._send(350, {"tts_type": "default", "reply_id": f"reply-{self.replies}"})

    async def say(self, pcm):
        for at in range(0, len(pcm), 4801):  # odd lengths, as the service has them
            await self._send(352, pcm[at:at + 4801], audio=True)

    say_stale = say

    async def end_reply(self):
        await self._send(351, {})
        await self._send(359, {})

    async def clear(self):
        await self._send(450, {"question_id": f"question-{self.replies}"})


class DoubaoV3(Dialogue):
    rate_in, rate_out, fences = 16000, 24000, True

    async def _send(self, kind, **more):
        await self.ws.send(json.dumps({"type": kind, **more}))

    async def receive(self):
        message = json.loads(await self.ws.recv())
        if message["type"] == "input_audio_buffer.append":
            return "audio", base64.b64decode(message["audio"])
        if message["type"] == "session.close":
            await self._send("session.closed")
        return "other", message

    async def begin(self):
        kind, message = await self.receive()
        assert message["type"] == "session.create", message
        audio = message["session"]["audio"]
        assert audio["input"]["format"] == {"type": "pcm", "rate": 16000}, audio
        assert audio["output"]["format"] == {"type": "pcm_s16le", "rate": 24000}, audio
        await self._send("session.created")

    async def begin_reply(self):
        await self._send("response.output_audio.started", tts_type="default")

    async def say(self, pcm):
        for at in range(0, len(pcm), 4801):  # odd lengths, as the service has them
            delta = base64.b64encode(pcm[at:at + 4801]).decode()
            await self._send("response.output_audio.delta", delta=delta)

    say_stale = say

    async def end_reply(self):
        await self._send("response.output_audio.done")
        await self._send("response.done", usage={})

    async def clear(self):
        await self._send("conversation.item.input_audio_transcription.started")
        await self._send("response.done", usage={})


class Audiosocket(Dialogue):
    """Records over TCP, at 8 kHz."""
    LOUD = 2000

    def __init__(self, streams, label):
        self.reader, self.writer = streams
        self.label = label
        self.hears = asyncio.Event()
        self.audio, self.frames, self.loud, self.quiet = bytearray(), 0, 0, 0

    async def receive(self):
        kind, size = struct.unpack(">BH", await self.reader.readexactly(3))
        payload = await self.reader.readexactly(size)
        if kind != 0x10:
            return "other", (kind, payload)
        is_loud = audioop.rms(payload, 2) > self.LOUD
        self.loud, self.quiet = (self.loud + 1, 0) if is_loud else (0, self.quiet + 1)
        return "audio", payload

    async def begin(self):
        kind, (record, uuid) = await self.receive()
        assert (kind, record, len(uuid)) == ("other", 0x01, 16), (kind, record, uuid)

    async def listen(self):
        try:
            await super().listen()
        except (asyncio.IncompleteReadError, ConnectionError):
            self.log("closed")

    async def say(self, pcm):
        for at in range(0, len(pcm), 320):
            record = pcm[at:at + 320]
            self.writer.write(struct.pack(">BH", 0x10, len(record)) + record)
        await self.writer.drain()

    async def say_paced(self, pcm, until):
        """A record each 20 ms, from the beginning again at its end."""
        loop = asyncio.get_running_loop()
        due, at = loop.time(), 0
        while not until():
            await self.say(pcm[at:at + 320])
            at = (at + 320) % len(pcm)
            due += 0.020
            await asyncio.sleep(max(0, due - loop.time()))

    async def hang_up(self):
        self.writer.write(struct.pack(">BH", 0x00, 0))
        await self.writer.drain()


PROTOCOLS = {"twilio": Twilio, "l16": L16, "openai": Openai, "doubao": Doubao,
             "doubao-v3": DoubaoV3}


async def barge(dialogue):
    """A greeting; a long answer, cut; a short one after it; and a very short one."""
    rate = dialogue.rate_out
    await dialogue.hears.wait()
    await dialogue.begin_reply()
    await dialogue.say(tone(700, 0.3, rate))
    await dialogue.end_reply()
    await asyncio.sleep(1.6)
    dialogue.log("answer")
    await dialogue.begin_reply()
    second = tone(440, 1, rate)
    for n in range(6):
        await dialogue.say(second)
        await dialogue.mark(f"long-{n + 1}")
    await asyncio.sleep(2.3)
    dialogue.log("clear")
    await dialogue.clear()
    await dialogue.say_stale(tone(1500, 0.5, rate))
    await asyncio.sleep(0.3)
    await dialogue.begin_reply()
    await dialogue.say(tone(1000, 0.5, rate))
    await dialogue.mark("short")
    await dialogue.end_reply()
    await asyncio.sleep(0.8)
    dialogue.log("tail")
    await dialogue.begin_reply()
    await dialogue.say(tone(1000, 0.04, rate))
    await dialogue.mark("tail")
    await dialogue.end_reply()
    await asyncio.sleep(0.8)
    dialogue.log("done")


async def answers_after(dialogue):
    await asyncio.sleep(0.3)
    await dialogue.say(tone(1000, 0.5, 8000))
    await asyncio.sleep(0.8)
    await dialogue.say(tone(1000, 0.04, 8000))
    await asyncio.sleep(0.8)
    dialogue.log("done")


async def at_once(dialogue):
    """A server that does not notice: a long answer at once, and while the caller speaks more of it
    at the pace it is heard. Answers when the caller is silent."""
    await dialogue.hears.wait()
    dialogue.log("answer")
    await dialogue.say(tone(440, 6, 8000))
    while not dialogue.loud:
        await asyncio.sleep(0.01)
    dialogue.log("loud")
    await dialogue.say_paced(tone(1500, 0.5, 8000), lambda: dialogue.quiet)
    await answers_after(dialogue)


async def paced(dialogue):
    """A server that paces itself, and falls silent when it hears the caller; it hangs up, too."""
    await dialogue.hears.wait()
    dialogue.log("answer")
    await dialogue.say_paced(tone(440, 1, 8000), lambda: dialogue.loud >= 10)
    dialogue.log("clear")
    while dialogue.quiet < 10:
        await asyncio.sleep(0.01)
    await answers_after(dialogue)
    await dialogue.hang_up()


SOCKET_SCRIPTS = (at_once, paced)


async def tones(dialogue, say_hz, hear_hz):
    """Two seconds of one tone are said and so much of another one is heard: tones/SAY/HEAR."""
    await dialogue.hears.wait()
    await dialogue.begin_reply()
    await dialogue.say(tone(int(say_hz), 2, dialogue.rate_out))
    await dialogue.end_reply()
    began, rate = time.time(), dialogue.rate_in
    while len(dialogue.audio) < 2 * 2.3 * rate or time.time() - began < 2.3:
        await asyncio.sleep(0.05)
    heard = bytes(dialogue.audio)
    dialogue.log("heard", seconds=len(heard) / 2 / rate, rate=rate,
                 of_tone=seconds_of_tone(heard, int(hear_hz), rate))


SCRIPTS = {"barge": barge, "tones": tones}


async def serve(ws, *_):
    protocol, script, *arguments = ws.path.strip("/").split("/")
    dialogue = PROTOCOLS[protocol](ws)
    await dialogue.begin()
    dialogue.log("begun")
    listening = asyncio.ensure_future(dialogue.listen())
    try:
        await SCRIPTS[script](dialogue, *arguments)
    except websockets.ConnectionClosed:
        pass
    await listening


def serve_socket(script):
    async def serve_one(*streams):
        dialogue = Audiosocket(streams, f"audiosocket/{script.__name__}")
        await dialogue.begin()
        listening = asyncio.ensure_future(dialogue.listen())
        try:
            await script(dialogue)
        except ConnectionError:
            pass
        await listening
        streams[1].close()
    return serve_one


async def main():
    host, port = sys.argv[1].rsplit(":", 1)
    for n, script in enumerate(SOCKET_SCRIPTS, 1):
        await asyncio.start_server(serve_socket(script), host, int(port) + n)
    async with websockets.serve(serve, host, int(port), compression=None,
                                subprotocols=["audio.jambonz.org"], max_size=1 << 24):
        print(json.dumps({"time": time.time(), "call": "", "event": "listening"}), flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
