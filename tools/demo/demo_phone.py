"""A phone of the demo: speaks a sentence as G.711 µ-law over RTP and keeps what it hears."""

import audioop
import io
import math
import random
import shutil
import struct
import subprocess
import time
import wave

PACKET_S = 0.020
SAMPLES = 160


def speak(sentence, voice):
    """µ-law bytes at 8000 Hz: a synthetic voice, or a melody where there is none."""
    if shutil.which("espeak-ng"):
        spoken = subprocess.run(["espeak-ng", "-v", voice, "-s", "150", "--stdout", sentence],
                                check=True, capture_output=True).stdout
        with wave.open(io.BytesIO(spoken)) as source:
            linear = source.readframes(10_000_000)
            linear, _ = audioop.ratecv(linear, 2, 1, source.getframerate(), 8000, None)
    else:
        tones = [262 + 40 * (ord(letter) % 12) for letter in sentence]
        linear = b"".join(struct.pack("<h", int(9000 * math.sin(2 * math.pi * tone * n / 8000)))
                          for tone in tones for n in range(800))
    mulaw = audioop.lin2ulaw(linear, 2)
    return mulaw + b"\xff" * (-len(mulaw) % SAMPLES)


class Phone:
    def __init__(self, name, udp, sentence, voice="en"):
        self.name, self.udp = name, udp
        self.audio = speak(sentence, voice)
        self.remote = None
        self.sent = 0
        self.heard = {}      # sequence number -> payload
        self.strange = 0     # datagrams that the other phone never sent
        self.jitter_ms = 0.0
        self._transit = None
        self._ssrc = random.getrandbits(32)
        self._sequence = random.randrange(1000)

    @property
    def packets(self):
        return len(self.audio) // SAMPLES

    def speak_packet(self):
        at = self.sent * SAMPLES
        if at >= len(self.audio):
            return
        header = struct.pack("!BBHII", 0x80, 0x80 if self.sent == 0 else 0,
                             self._sequence + self.sent, at, self._ssrc)
        self.udp.sendto(header + self.audio[at:at + SAMPLES], self.remote)
        self.sent += 1

    def listen(self, peer):
        while True:
            try:
                datagram, source = self.udp.recvfrom(2048)
            except (BlockingIOError, ConnectionRefusedError):
                return
            if len(datagram) < 12 or source[:2] != self.remote[:2]:
                self.strange += 1
                continue
            _, _, sequence, timestamp, ssrc = struct.unpack("!BBHII", datagram[:12])
            if ssrc != peer._ssrc:
                self.strange += 1
                continue
            self.heard[sequence - peer._sequence] = datagram[12:]
            transit = time.monotonic() * 1000 - timestamp / 8  # RFC 3550 §6.4.1, in ms
            if self._transit is not None:
                self.jitter_ms += (abs(transit - self._transit) - self.jitter_ms) / 16
            self._transit = transit

    def result(self, peer):
        """Heard, lost, identical to what the peer said."""
        identical = sum(peer.audio[n * SAMPLES:(n + 1) * SAMPLES] == payload
                        for n, payload in self.heard.items())
        return len(self.heard), peer.sent - len(self.heard), identical

    def save(self, path):
        spoken = b"".join(self.heard[n] for n in sorted(self.heard))
        with wave.open(path, "wb") as out:
            out.setnchannels(1)
            out.setsampwidth(2)
            out.setframerate(8000)
            out.writeframes(audioop.ulaw2lin(spoken, 2))


def converse(first, second, on_tick=lambda n: None):
    """Both speak until both have said all; then half a second for what is still under way."""
    started = time.monotonic()
    for n in range(max(first.packets, second.packets) + int(0.5 / PACKET_S)):
        first.speak_packet()
        second.speak_packet()
        on_tick(n)
        while (left := started + (n + 1) * PACKET_S - time.monotonic()) > 0:
            first.listen(second)
            second.listen(first)
            time.sleep(min(left, 0.002))
    first.listen(second)
    second.listen(first)
