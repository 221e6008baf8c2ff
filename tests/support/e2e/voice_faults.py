#!/usr/bin/python3
"""AI endpoints that break, break the rules, or go to their limits, each on a port of its own:
`voice_faults.py FIRST_PORT CERTIFICATE KEY`, or without arguments their names in the ports' order.
Most of them are those of the connection's own tests."""
import asyncio
import logging
import pathlib
import socket
import ssl
import sys
import threading
import time

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "voice"))

import peer  # noqa: E402
import websockets  # noqa: E402

HOST = "127.0.0.1"
LOUD_PCM = b"".join((4000).to_bytes(2, "little") * 4 + (-4000 & 0xFFFF).to_bytes(2, "little") * 4
                    for _ in range(1000))  # a second at 8 kHz


async def torrent(ws):
    """Audio as fast as it is taken, for ever."""
    stream = peer.Stream(ws)
    await stream.started()
    while True:
        await stream.media(peer.MULAW_SECOND)


def single_octets(connection):
    """A second of audio, one TCP segment an octet."""
    peer.upgrade(connection)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    head = bytes([0x82, 126]) + len(LOUD_PCM).to_bytes(2, "big")
    for n, octet in enumerate(head + LOUD_PCM):
        connection.send(bytes([octet]))
        if n % 8 == 0:
            time.sleep(0)  # the reader's turn
    peer.drain(connection)


def deaf(connection):
    """Never reads."""
    peer.upgrade(connection)
    threading.Event().wait()


BY_LIBRARY = {name: peer.BY_LIBRARY[name] for name in
              ("unauthorized", "mute", "long_reply", "cut_in_reply", "nonsense")}
BY_LIBRARY["torrent"] = (torrent, {})
BY_LIBRARY["other_name"] = (peer.hold, {})
BY_HAND = {name: peer.BY_HAND[name] for name in ("silent", "bad_utf8", "length_bomb")}
BY_HAND |= {"single_octets": single_octets, "deaf": deaf}
NAMES = sorted([*BY_LIBRARY, *BY_HAND])


def serve_by_hand(handler, port):
    listener = socket.socket()
    if handler is deaf:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    listener.bind((HOST, port))
    listener.listen()

    def handle(connection):
        with connection:
            try:
                handler(connection)
            except (OSError, IndexError):
                pass

    def accept():
        while True:
            threading.Thread(target=handle, args=(listener.accept()[0],), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()


async def main():
    first_port, certificate, key = int(sys.argv[1]), sys.argv[2], sys.argv[3]
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate, key)
    for port, name in enumerate(NAMES, first_port):
        if name in BY_HAND:
            serve_by_hand(BY_HAND[name], port)
        else:
            handler, settings = BY_LIBRARY[name]
            await websockets.serve(handler, HOST, port, compression=None,
                                   ssl=tls if name == "other_name" else None, **settings)
    print('{"call": "", "event": "listening"}', flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    if len(sys.argv) == 1:
        print(*NAMES)
        sys.exit()
    logging.disable()
    asyncio.run(main())
