#!/usr/bin/python3
"""Endpoints that check every field of what a driver sends: `strict.py MODE`.

Prints its port, serves until its standard input ends, then prints a verdict: "good" and what was
counted, or "WRONG:" and what broke which rule. Frames are put together and taken apart here from
the tables of the services' documents, with nothing taken from the relay.
"""
import asyncio
import base64
import json
import logging
import re
import struct
import sys
import uuid

import websockets

UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
CALL_UUID = uuid.UUID("75a6126e-427f-49a1-a2c1-621143cb9db3")  # of the test's call
QUIET_S = 0.15  # in which nothing may come


class Wrong(Exception):
    pass


def must(condition, *what):
    if not condition:
        raise Wrong(" ".join(map(str, what)))


def same(value, expected, what):
    must(value == expected, f"{what}: {value!r}, expected {expected!r}")


def keys(value, allowed, what):
    must(isinstance(value, dict), f"{what} is no object: {value!r}")
    must(set(value) <= set(allowed), f"{what} has unknown members: {set(value) - set(allowed)}")


def without_null(value, where="body"):
    must(value is not None, f"null in {where}")
    for key, member in value.items() if isinstance(value, dict) else ():
        without_null(member, f"{where}.{key}")


async def nothing_comes(ws, before):
    try:
        early = await asyncio.wait_for(ws.recv(), QUIET_S)
    except asyncio.TimeoutError:
        return
    raise Wrong(f"{early[:60]!r} came before {before}")


async def closing(ws):
    """Returns the code that the other side closes with."""
    try:
        while True:
            message = await ws.recv()
            raise Wrong(f"{message[:60]!r} came behind the farewell")
    except websockets.ConnectionClosed:
        return ws.close_code


# --- Doubao v1: document 6561/1594356 ---

CLIENT_EVENTS = {1: "StartConnection", 2: "FinishConnection", 100: "StartSession",
                 102: "FinishSession", 200: "TaskRequest", 300: "SayHello"}


def doubao_request(data):
    """(event, session id, payload) of a frame of a client, every bit of it looked at."""
    must(isinstance(data, bytes), f"a text message: {data[:60]!r}")
    must(len(data) >= 12, f"a frame of {len(data)} bytes")
    version_size, type_flags, serialization_compression, reserved = struct.unpack("BBBB", data[:4])
    same(version_size, 0x11, "version and header size")
    same(reserved, 0, "the reserved byte")
    same(type_flags & 0xF, 0b0100, "flags, with an event number")
    event, = struct.unpack(">I", data[4:8])
    must(event in CLIENT_EVENTS, f"event {event} is none of a client")
    is_audio = event == 200
    same(type_flags >> 4, 0x2 if is_audio else 0x1, f"message type of event {event}")
    same(serialization_compression, 0x00 if is_audio else 0x10, "serialization and compression")
    at, session = 8, None
    if event >= 100:
        size, = struct.unpack(">I", data[at:at + 4])
        same(size, 36, "length of the session id")
        session = data[at + 4:at + 40].decode("ascii")
        must(UUID.fullmatch(session), f"session id {session!r}")
        at += 40
    size, = struct.unpack(">I", data[at:at + 4])
    same(len(data) - at - 4, size, "bytes behind the payload's length")
    return event, session, data[at + 4:]


def doubao_answer(event, ident, body, **extra):
    """A frame of the server: full response (9), audio (0xB)."""
    is_audio = isinstance(body, bytes)
    payload = body if is_audio else json.dumps({**body, **extra}, ensure_ascii=False).encode()
    head = struct.pack("BBBB", 0x11, 0xB4 if is_audio else 0x94, 0x00 if is_audio else 0x10, 0)
    name = ident.encode()
    return (head + struct.pack(">I", event) + struct.pack(">I", len(name)) + name +
            struct.pack(">I", len(payload)) + payload)


def doubao_error(code, text):
    payload = json.dumps({"error": text}).encode()
    return struct.pack(">BBBBII", 0x11, 0xF0, 0x10, 0, code, len(payload)) + payload


def check_start_session(payload):
    body = json.loads(payload)
    without_null(body)  # refused with 42000020
    keys(body, {"asr", "tts", "dialog"}, "StartSession")
    same(body["asr"]["audio_info"], {"format": "pcm", "sample_rate": 16000, "channel": 1},
         "asr.audio_info")
    window = body["asr"]["extra"]["end_smooth_window_ms"]
    must(isinstance(window, int) and 500 <= window <= 50000, f"end_smooth_window_ms {window!r}")
    audio = body["tts"]["audio_config"]
    same((audio["format"], audio["sample_rate"], audio["channel"]), ("pcm_s16le", 24000, 1),
         "tts.audio_config")
    dialog = body["dialog"]
    must(len(dialog.get("bot_name", "")) <= 20, f"bot_name of {len(dialog['bot_name'])} characters")
    must(dialog["extra"]["model"] in ("O", "SC", "1.2.1.0", "1.2.1.1", "2.2.0.0"),
         f"model {dialog['extra']['model']!r}")
    must(dialog["extra"].get("input_mod", "audio") in ("audio", "keep_alive"), "input_mod")
    same(dialog.get("system_role"), "The caller is +15550100.", "system_role of the template")


class DoubaoV1:
    def __init__(self, ws, report):
        self.ws, self.report = ws, report
        self.session = None

    async def request(self):
        event, session, payload = doubao_request(await self.ws.recv())
        if session is not None:
            self.session = self.session or session
            same(session, self.session, "the session id")
        if event == 200:
            must(len(payload) > 0, "empty audio, refused with 45000002")
            same(len(payload), 640, "bytes of 20 ms at 16 kHz")
            self.report["frames"] += 1
        elif event == 300:
            same(json.loads(payload), {"content": "您好 +15550100"}, "SayHello")
        elif event != 100:
            same(payload, b"{}", f"payload of {CLIENT_EVENTS[event]}")
        return event, payload

    async def expect(self, wanted):
        event, payload = await self.request()
        same(event, wanted, "event")
        return payload

    async def say(self, event, body, **extra):
        await self.ws.send(doubao_answer(event, self.session, body, **extra))

    async def audio(self, count):
        for _ in range(count):
            await self.expect(200)

    async def open(self):
        headers = self.ws.request_headers
        same(self.ws.path, "/api/v3/realtime/dialogue", "path")
        same(headers.get("X-Api-Key"), "secret", "X-Api-Key")
        same(headers.get("X-Api-Resource-Id"), "volc.speech.dialog", "X-Api-Resource-Id")
        must(UUID.fullmatch(headers.get("X-Api-Connect-Id", "")), "X-Api-Connect-Id is no UUID")
        must("Sec-WebSocket-Protocol" not in headers, "a subprotocol")
        await self.expect(1)
        await nothing_comes(self.ws, "ConnectionStarted")
        await self.ws.send(doubao_answer(50, "a-connect-id", {}))
        check_start_session(await self.expect(100))
        await nothing_comes(self.ws, "SessionStarted")

    async def close(self):
        event = 200
        while event == 200:
            event, _ = await self.request()
        same(event, 102, "the last event of the session")
        await self.say(152, {})
        await self.expect(2)
        await self.ws.send(doubao_answer(52, "a-connect-id", {}))
        same(await closing(self.ws), 1000, "close code")


async def doubao_v1(ws, report):
    endpoint = DoubaoV1(ws, report)
    await endpoint.open()
    await endpoint.say(150, {"dialog_id": "d1"}, undocumented=[{"x": None}])
    await endpoint.expect(300)
    say = endpoint.say
    await say(350, {"tts_type": "chat_tts_text", "text": "您好", "reply_id": "r0"})
    await say(352, bytes(960))
    await say(351, {})
    await say(350, {"tts_type": "chat_tts_text", "text": "请讲", "reply_id": "r0"})
    await say(352, bytes(960))
    await say(351, {})
    await say(359, {"question_id": "q0", "reply_id": "r0"})
    await endpoint.audio(5)
    # The caller speaks over the greeting; audio of it comes behind that.
    await say(450, {"question_id": "q1"})
    await say(352, bytes(9999))
    await say(451, {"results": [{"text": "转", "is_interim": True}]})
    await say(451, {"results": [{"text": "转人工", "is_interim": False}]})
    await say(451, {"results": [{"text": "转人工。", "is_interim": False}]})
    await say(459, {})
    await say(350, {"tts_type": "default", "text": "好的", "reply_id": "r1", "question_id": "q1"})
    for size in (961, 1, 958):  # samples may be cut in two
        await say(352, bytes(size))
    await say(550, {"content": "好"})
    await say(550, {"content": "的"})
    await say(351, {})
    await say(559, {})
    await say(154, {"usage": {"input_text_tokens": 1}})
    await say(359, {"question_id": "q1", "reply_id": "r1"})
    await endpoint.close()


async def doubao_v1_refuses(ws, report):
    await DoubaoV1(ws, report).open()
    await ws.send(doubao_error(42000020, "invalid StartSession"))
    await closing(ws)


async def doubao_v1_recovers(ws, report):
    """Fails the first session with an error that may pass."""
    endpoint = DoubaoV1(ws, report)
    await endpoint.open()
    report["sessions"] = report.get("sessions", 0) + 1
    if report["sessions"] == 1:
        await endpoint.say(153, {"error": "52000011 backend"})
        await closing(ws)
        return
    await endpoint.say(150, {"dialog_id": "d1"})
    await endpoint.expect(300)
    await endpoint.audio(2)
    await endpoint.say(599, {"status_code": 45000003, "message": "silent for too long"})
    await ws.wait_closed()


# --- what speaks JSON ---

class JsonPeer:
    def __init__(self, ws, report, frame_bytes):
        self.ws, self.report, self.frame_bytes = ws, report, frame_bytes

    async def next(self):
        message = await self.ws.recv()
        must(isinstance(message, str), "a binary message")
        body = json.loads(message)
        if body.get("type") == "input_audio_buffer.append":
            keys(body, {"type", "audio"}, "append")
            audio = base64.b64decode(body["audio"], validate=True)
            same(len(audio), self.frame_bytes, "bytes of a frame")
            self.report["frames"] += 1
        return body

    async def audio(self, count):
        for _ in range(count):
            same((await self.next())["type"], "input_audio_buffer.append", "type")

    async def beyond_audio(self):
        while (body := await self.next())["type"] == "input_audio_buffer.append":
            pass
        return body

    async def say(self, kind, **members):
        try:
            await self.ws.send(json.dumps({"event_id": "event_1", "type": kind, **members}))
        except (ConnectionResetError, websockets.ConnectionClosed):
            pass  # whether it may close here is seen by whoever reads next


# --- Doubao v3: document 6561/2549778 ---

async def doubao_v3(ws, report):
    peer = JsonPeer(ws, report, 640)
    same(ws.path, "/api/v3/duplex/realtime/dialogue", "path")
    same(ws.request_headers.get("X-Api-Key"), "secret", "X-Api-Key")
    create = await peer.next()
    same(create, {"type": "session.create", "session": {
        "model": "1.2.6.1", "instructions": "The caller is +15550100.",
        "audio": {"input": {"format": {"type": "pcm", "rate": 16000}},
                  "output": {"format": {"type": "pcm_s16le", "rate": 24000},
                             "voice": "zh_female_vv_jupiter_bigtts"}}}}, "session.create")
    await nothing_comes(ws, "session.created")
    await peer.say("session.created", session={"id": "s1"})
    same(await peer.beyond_audio(),
         {"type": "speech_text_buffer.commit", "text": "您好 +15550100"}, "the greeting")
    delta = {"delta": base64.b64encode(bytes(1920)).decode(), "response_id": "r1"}
    await peer.say("response.output_audio.started", tts_type="chat_tts_text", response_id="r1")
    await peer.say("response.output_audio.delta", **delta)
    await peer.audio(5)
    await peer.say("conversation.item.input_audio_transcription.started", item_id="i1")
    await peer.say("response.output_audio.delta", **delta)  # of what was interrupted
    await peer.say("conversation.item.input_audio_transcription.delta", delta="再见")
    await peer.say("conversation.item.input_audio_transcription.completed", transcript="再见")
    await peer.say("response.output_audio.started", tts_type="default", response_id="r2")
    await peer.say("response.output_text.delta", delta="再")
    await peer.say("response.output_text.done", text="再见!")
    await peer.say("response.output_audio.delta", **delta)
    await peer.say("response.output_audio.done", status_code="20000002", response_id="r2")
    await peer.say("response.done", usage={})
    same(await peer.beyond_audio(), {"type": "session.close"}, "the farewell")
    await peer.say("error", error={"type": "x", "code": "55000001", "message": "closing"})
    await peer.say("session.closed")
    same(await closing(ws), 1000, "close code")


# --- OpenAI's Realtime API and its relatives ---

TURNS = {"type": "server_vad", "silence_duration_ms": 500}


def ga_session(audio_format):
    return {"type": "realtime", "instructions": "The caller is +15550100.",
            "output_modalities": ["audio"],
            "audio": {"input": {"format": audio_format, "turn_detection": TURNS},
                      "output": {"format": audio_format, "voice": "marin"}}}


def beta_session(up, down):
    return {"instructions": "The caller is +15550100.", "modalities": ["text", "audio"],
            "input_audio_format": up, "output_audio_format": down, "turn_detection": TURNS}


BEARER = ("Authorization", "Bearer secret")
# Headers, path and query, the session, bytes of a frame up, prefix of the events' names, whether
# the service cuts a reply by itself and remembers what of it was heard.
DIALECTS = {
    "openai": ([BEARER], "/v1/realtime?model=gpt-realtime",
               ga_session({"type": "audio/pcmu"}), 160, "response.output_audio", True),
    "openai_wide": ([BEARER], "/v1/realtime?model=gpt-realtime",
                    ga_session({"type": "audio/pcm", "rate": 24000}), 960,
                    "response.output_audio", True),
    "azure": ([("api-key", "secret")], "/openai/v1/realtime?model=my-deployment",
              ga_session({"type": "audio/pcma"}), 160, "response.output_audio", True),
    "openai_beta": ([BEARER, ("OpenAI-Beta", "realtime=v1")], "/v1/realtime?model=gpt-4o",
                    beta_session("g711_ulaw", "g711_ulaw"), 160, "response.audio", True),
    "qwen": ([BEARER], "/api-ws/v1/realtime?model=qwen3-omni-flash-realtime",
             beta_session("pcm16", "pcm24"), 640, "response.audio", False),
    "stepfun": ([BEARER], "/v1/realtime?model=step-audio-2",
                beta_session("pcm16", "pcm16"), 960, "response.audio", False),
}


def openai(dialect):
    headers, path, session, frame_bytes, audio, remembers = DIALECTS[dialect]

    async def serve(ws, report):
        peer = JsonPeer(ws, report, frame_bytes)
        same(ws.path, path, "path")
        for name, value in headers:
            same(ws.request_headers.get(name), value, name)
        await nothing_comes(ws, "session.created")
        await peer.say("session.created", session={"id": "sess_1"})
        same(await peer.next(), {"type": "session.update", "session": session}, "session.update")
        await nothing_comes(ws, "session.updated")
        await peer.say("session.updated", session=session)
        same(await peer.next(), {"type": "response.create",
                                 "response": {"instructions": "Greet +15550100."}}, "the greeting")
        await peer.audio(5)

        async def delta(response, item, size):
            await peer.say(f"{audio}.delta", response_id=response, item_id=item, output_index=0,
                           content_index=0, delta=base64.b64encode(bytes(size)).decode())

        await peer.say("response.created", response={"id": "resp_1", "status": "in_progress"})
        await delta("resp_1", "item_1", 8000)
        await peer.audio(2)
        await peer.say("input_audio_buffer.speech_started", audio_start_ms=100, item_id="item_2")
        cut = await peer.beyond_audio()
        if remembers:
            length_ms = 8000 * 20 // frame_bytes
            keys(cut, {"type", "item_id", "content_index", "audio_end_ms"}, "truncate")
            same((cut["type"], cut["item_id"], cut["content_index"]),
                 ("conversation.item.truncate", "item_1", 0), "truncate")
            # The test says that the last 100 ms were not heard.
            same(cut["audio_end_ms"], length_ms - 100, "audio_end_ms")
        else:
            same(cut, {"type": "response.cancel"}, "the cancel")
            await peer.say("error", error={"type": "invalid_request_error",
                                           "message": "there is no active response"})
        await delta("resp_1", "item_1", 8000)  # of what was interrupted
        await peer.say("response.done", response={"id": "resp_1", "status": "cancelled"})
        await peer.say("input_audio_buffer.speech_stopped", audio_end_ms=900, item_id="item_2")
        await peer.say("conversation.item.input_audio_transcription.completed",
                       item_id="item_2", content_index=0, transcript="hello")
        await peer.say("response.created", response={"id": "resp_2", "status": "in_progress"})
        await delta("resp_2", "item_3", 961)
        await delta("resp_2", "item_3", 959)
        await peer.say(f"{audio}_transcript.done", response_id="resp_2", transcript="hi there")
        await peer.say(f"{audio}.done", response_id="resp_2", item_id="item_3")
        await peer.say("response.done", response={"id": "resp_2", "status": "completed"})
        try:
            while True:
                same((await peer.next())["type"], "input_audio_buffer.append", "type")
        except websockets.ConnectionClosed:
            same(ws.close_code, 1000, "close code")

    return serve


# --- AudioSocket: docs.asterisk.org/Configuration/Channel-Drivers/AudioSocket ---

async def audiosocket(reader, writer, report):
    async def record():
        kind, size = struct.unpack(">BH", await reader.readexactly(3))
        return kind, await reader.readexactly(size)

    def audio(kind, samples):
        payload = struct.pack(f"<{len(samples)}h", *samples)
        return struct.pack(">BH", kind, len(payload)) + payload

    same(await record(), (0x01, CALL_UUID.bytes), "the first record")
    for _ in range(5):
        kind, payload = await record()
        same((kind, len(payload)), (0x10, 320), "a frame of 8 kHz")
        report["frames"] += 1
    # A record of 8 kHz, one of 16 kHz, an unknown one, all cut into single bytes.
    for byte in (audio(0x10, range(160)) + audio(0x12, range(320)) + struct.pack(">BH", 0x42, 1) +
                 b"x"):
        writer.write(bytes([byte]))
        await writer.drain()
    kind, payload = await record()
    while kind == 0x10:
        kind, payload = await record()
    same((kind, payload), (0x03, b"5"), "the digit")
    kind, payload = await record()
    while kind == 0x10:
        kind, payload = await record()
    same((kind, payload), (0x00, b""), "the last record")
    same(await reader.read(), b"", "what comes behind the hang-up")


HANDLERS = {"doubao_v1": doubao_v1, "doubao_v1_refuses": doubao_v1_refuses,
            "doubao_v1_recovers": doubao_v1_recovers, "doubao_v3": doubao_v3,
            **{name: openai(name) for name in DIALECTS}}


async def serve(mode):
    report = {"frames": 0}
    verdicts = []
    running = set()

    async def judged(dialogue):
        running.add(asyncio.current_task())
        try:
            await dialogue
            verdicts.append("good")
        except websockets.ConnectionClosed as closed:
            verdicts.append(f"WRONG: it closed too early: {closed}")
        except Exception as error:
            verdicts.append(f"WRONG: {type(error).__name__} {error}")
        finally:
            running.discard(asyncio.current_task())

    if mode == "audiosocket":
        async def on_socket(reader, writer):
            await judged(audiosocket(reader, writer, report))
            writer.close()
        server = await asyncio.start_server(on_socket, "127.0.0.1", 0)
    else:
        async def on_connection(ws):
            await judged(HANDLERS[mode](ws, report))
        server = await websockets.serve(on_connection, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    if running:
        await asyncio.wait(running, timeout=5)
    bad = [verdict for verdict in verdicts if verdict != "good"]
    if running or not verdicts:
        bad.append("WRONG: a dialogue that did not end")
    print("; ".join(bad) if bad else f"good: dialogues={len(verdicts)}", flush=True)


if __name__ == "__main__":
    logging.disable()
    asyncio.run(serve(sys.argv[1]))
