#!/usr/bin/python3
"""Endpoints for the voice connection's tests: `peer.py MODE [CERTIFICATE KEY]`.

Prints its port, serves until its standard input ends. What keeps to RFC 6455 is done by the
websockets library; what breaks it is done by hand.
"""
import asyncio
import base64
import hashlib
import http
import json
import logging
import socket
import ssl
import struct
import sys
import threading

try:
    import websockets
except ImportError:
    print("skipped: no websockets library for", sys.executable, flush=True)
    sys.exit(77)

MULAW_SECOND = bytes(range(256)) * 31 + bytes(64)  # 8000 octets


class Stream:
    """A bot of Twilio's protocol over one connection."""

    def __init__(self, ws):
        self.ws = ws
        self.sid = None

    async def next(self):
        message = json.loads(await self.ws.recv())
        if message["event"] == "start":
            self.sid = message["streamSid"]
        return message

    async def started(self):
        assert (await self.next())["event"] == "connected"
        assert (await self.next())["event"] == "start"

    async def send(self, event, **more):
        await self.ws.send(json.dumps({"event": event, "streamSid": self.sid, **more}))

    async def media(self, octets):
        await self.send("media", media={"payload": base64.b64encode(octets).decode()})


async def echo(ws):
    stream = Stream(ws)
    await stream.started()
    count = 0
    async for text in ws:
        message = json.loads(text)
        if message["event"] == "media":
            count += 1
            assert message["media"]["chunk"] == str(count), message
            await stream.media(base64.b64decode(message["media"]["payload"]))
            if count == 5:
                await stream.send("mark", mark={"name": "five"})
        elif message["event"] == "mark" and message["mark"]["name"] == "five":
            await stream.send("clear")
            await ws.close()


async def long_reply(ws):
    stream = Stream(ws)
    await stream.started()
    await stream.media(MULAW_SECOND * 30)
    await ws.wait_closed()


async def byte_fragments(ws):
    stream = Stream(ws)
    await stream.started()
    text = json.dumps({"event": "media", "streamSid": stream.sid,
                       "media": {"payload": base64.b64encode(b"abc").decode()}})
    await ws.send(list(text))  # one frame a character
    await ws.wait_closed()


async def cut_in_reply(ws):
    stream = Stream(ws)
    await stream.started()
    await stream.media(MULAW_SECOND)
    ws.transport.abort()


async def goodbye(ws):
    stream = Stream(ws)
    await stream.started()
    await stream.media(MULAW_SECOND[:3200])
    await ws.close()


async def nonsense(ws):
    stream = Stream(ws)
    await stream.started()
    await ws.send(b"\x00\x01binary")
    await ws.send("{not json")
    await ws.send(json.dumps({"event": "unheard-of", "streamSid": stream.sid}))
    await stream.media(b"abc")
    await ws.wait_closed()


async def endless(ws):
    stream = Stream(ws)
    await stream.started()
    for _ in range(1200):  # twenty minutes
        await stream.media(MULAW_SECOND)
    await ws.close()


async def mute(ws):
    await ws.wait_closed()


async def hold(ws):
    async for _ in ws:
        pass


def refusing(status, headers=()):
    async def refuse(path, request_headers):
        return status, list(headers), b"no\n"
    return refuse


# Mode: what is said, how the library is set up.
BY_LIBRARY = {
    "echo": (echo, {}),
    "long_reply": (long_reply, {"max_size": None}),
    "byte_fragments": (byte_fragments, {}),
    "cut_in_reply": (cut_in_reply, {}),
    "goodbye": (goodbye, {}),
    "nonsense": (nonsense, {}),
    "endless": (endless, {}),
    "mute": (mute, {"max_queue": None}),
    "hold": (hold, {"subprotocols": ["audio.jambonz.org"]}),
    "unauthorized": (mute, {"process_request": refusing(
        http.HTTPStatus.UNAUTHORIZED, [("X-Tt-Logid", "20261121")])}),
    "unavailable": (mute, {"process_request": refusing(http.HTTPStatus.SERVICE_UNAVAILABLE)}),
    "redirect": (mute, {"process_request": refusing(
        http.HTTPStatus.FOUND, [("Location", "ws://127.0.0.1:1/")])}),
}


def frame(first, length, payload=b""):
    if length < 126:
        return bytes([first, length]) + payload
    return bytes([first, 127]) + struct.pack(">Q", length) + payload


def drain(peer):
    """Reads until the other side has had enough."""
    try:
        while peer.recv(65536):
            pass
    except OSError:
        pass


def send_all(peer, pieces):
    try:
        for piece in pieces:
            peer.sendall(piece)
    except OSError:
        pass


def upgrade(peer):
    request = b""
    while b"\r\n\r\n" not in request:
        request += peer.recv(4096)
    key = [line.split(b": ")[1] for line in request.split(b"\r\n")
           if line.lower().startswith(b"sec-websocket-key")][0]
    accept = base64.b64encode(hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest())
    peer.sendall(b"HTTP/1.1 101 x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                 b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n")


def audiosocket(peer):
    """Sends back ten records of audio, then hangs up."""
    stream = peer.makefile("rwb")

    def record():
        kind, size = struct.unpack(">BH", stream.read(3))
        return kind, stream.read(size)

    kind, uuid = record()
    assert kind == 0x01 and len(uuid) == 16
    for _ in range(10):
        kind, audio = record()
        assert kind == 0x10 and len(audio) == 320
        stream.write(struct.pack(">BH", kind, len(audio)) + audio)
        stream.flush()
    stream.write(b"\0\0\0")
    stream.flush()
    drain(peer)


def reset(peer):
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


# What is done by hand with an accepted connection.
BY_HAND = {
    "audiosocket": audiosocket,
    "reset": reset,
    "silent": drain,
    "closing": lambda peer: None,
    "long_head": lambda peer: send_all(peer, [b"HTTP/1.1 101 x\r\n", b"X: y\r\n" * 100_000]),
    "bad_accept": lambda peer: (peer.recv(4096), peer.sendall(
        b"HTTP/1.1 101 x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: AAAA\r\n\r\n"), drain(peer)),
    "deaf": lambda peer: (upgrade(peer), threading.Event().wait()),
    "no_pong": lambda peer: (upgrade(peer), drain(peer)),
    "bad_utf8": lambda peer: (upgrade(peer), peer.sendall(frame(0x81, 2, b"\xc3\x28")),
                              drain(peer)),
    "masked": lambda peer: (upgrade(peer), peer.sendall(b"\x81\x81\0\0\0\0x"), drain(peer)),
    "length_bomb": lambda peer: (upgrade(peer), send_all(peer, [frame(0x82, 1 << 62, b"x")]),
                                 drain(peer)),
    "endless_message": lambda peer: (upgrade(peer), send_all(
        peer, [frame(0x02, 65536, bytes(65536))] + [frame(0x00, 65536, bytes(65536))] * 1000),
        drain(peer)),
    "empty_fragments": lambda peer: (upgrade(peer), send_all(
        peer, [frame(0x02, 0)] + [frame(0x00, 0) * 4096] * 500), drain(peer)),
}


def serve_by_hand(mode):
    listener = socket.socket()
    if mode == "deaf":
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    listener.bind(("127.0.0.1", 0))
    listener.listen()
    print(listener.getsockname()[1], flush=True)

    def handle(peer):
        with peer:
            try:
                BY_HAND[mode](peer)
            except (OSError, IndexError):
                pass

    def accept():
        while True:
            threading.Thread(target=handle, args=(listener.accept()[0],), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    sys.stdin.read()


async def serve_by_library(mode, tls):
    handler, settings = BY_LIBRARY[mode]
    async with websockets.serve(handler, "127.0.0.1", 0, ssl=tls, **settings) as server:
        print(server.sockets[0].getsockname()[1], flush=True)
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


def main():
    logging.disable()
    mode = sys.argv[1]
    if mode in BY_HAND:
        serve_by_hand(mode)
        return
    tls = None
    if len(sys.argv) > 3:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(sys.argv[2], sys.argv[3])
        if len(sys.argv) > 4:
            tls.load_verify_locations(sys.argv[4])
            tls.verify_mode = ssl.CERT_REQUIRED
    asyncio.run(serve_by_library(mode, tls))


if __name__ == "__main__":
    main()
