"""A call that talks to an AI voice endpoint: rtpp-voice-bot, which needs no account. It echoes, or
understands and answers in words where a recogniser and a synthesiser are installed."""

import contextlib
import json
import os
import random
import shutil
import struct
import subprocess
import tempfile
import threading
import time
import warnings
import wave

warnings.simplefilter("ignore", DeprecationWarning)
import audioop  # noqa: E402  (in Debian 12's Python; gone in 3.13)

from demo_phone import PACKET_S, SAMPLES, speak

PYTHON = "/usr/bin/python3"  # Debian's, which has Debian's modules
BOT = os.path.join(os.path.dirname(__file__), "..", "rtpp-voice-bot")
PHRASE = "what time is it"
START_LIMIT_S, LIMIT_S, END_LIMIT_S = 10.0, 12.0, 5.0
VOICED_RMS = 400  # of 32767
QUIET_S = 0.4     # before the phrase


def can_run():
    return subprocess.run([PYTHON, "-c", "import websockets"], stderr=subprocess.DEVNULL,
                          check=False).returncode == 0


def mode():
    can_hear = shutil.which("pocketsphinx_continuous")
    return "speech" if can_hear and shutil.which("flite") else "echo"


def phrase():
    """PHRASE in mu-law; of flite if it is there, which the recogniser understands best."""
    if not shutil.which("flite"):
        return speak(PHRASE, "en-us")
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "phrase.wav")
        subprocess.run(["flite", "-voice", "rms", "-t", PHRASE, "-o", path], check=True)
        with wave.open(path, "rb") as source:
            rate, linear = source.getframerate(), source.readframes(source.getnframes())
    linear, _ = audioop.ratecv(linear, 2, 1, rate, 8000, None)
    mulaw = audioop.lin2ulaw(linear, 2)
    return mulaw + b"\xff" * (-len(mulaw) % SAMPLES)


def quiet_packet(n):
    """What a microphone hears in a quiet room; recognisers are at a loss with digital silence."""
    return audioop.lin2ulaw(struct.pack("<160h", *((n * 31 + i * 7919) % 41 - 20
                                                   for i in range(160))), 2)


class Caller:
    """Says the phrase once and listens for the answer."""

    def __init__(self, udp, remote):
        self.udp, self.remote = udp, remote
        self.heard = []  # (time, payload)
        self.last_word = None
        self._ssrc, self._sent = random.getrandbits(32), 0

    def _send(self, payload):
        self.udp.sendto(struct.pack("!BBHII", 0x80, 0, self._sent & 0xFFFF, self._sent * SAMPLES,
                                    self._ssrc) + payload, self.remote)
        self._sent += 1

    def _listen(self):
        while True:
            try:
                self.heard.append((time.monotonic(), self.udp.recv(2048)[12:]))
            except (BlockingIOError, ConnectionRefusedError):
                return

    def answered_at(self):
        """When the first voiced packet behind the phrase was heard."""
        for at, payload in self.heard:
            if self.last_word and at > self.last_word and is_voiced(payload):
                return at
        return None

    def talk(self):
        """Until the answer has been heard to its end, at most LIMIT_S."""
        words = phrase()
        packets = [words[at:at + SAMPLES] for at in range(0, len(words), SAMPLES)]
        start = time.monotonic()
        first = int(QUIET_S / PACKET_S)
        last_voiced = max(n for n, packet in enumerate(packets) if is_voiced(packet))
        while time.monotonic() - start < LIMIT_S:
            n = self._sent
            inside = first <= n < first + len(packets)
            self._send(packets[n - first] if inside else quiet_packet(n))
            if n == first + last_voiced:
                self.last_word = time.monotonic()
            while (left := start + self._sent * PACKET_S - time.monotonic()) > 0:
                self._listen()
                time.sleep(min(left, 0.002))
            if self.answered_at() and not any(is_voiced(p) for _, p in self.heard[-40:]):
                return

    def save(self, path):
        with wave.open(path, "wb") as out:
            out.setnchannels(1)
            out.setsampwidth(2)
            out.setframerate(8000)
            out.writeframes(audioop.ulaw2lin(b"".join(p for _, p in self.heard), 2))


def is_voiced(payload):
    return audioop.rms(audioop.ulaw2lin(payload, 2), 2) > VOICED_RMS


def start_bot(network):
    """The bot once it listens; None where it does not get that far."""
    bot = network.start("relay", [PYTHON, BOT, "--mode", mode()], stdout=subprocess.PIPE, text=True)
    with not_for_ever(bot, START_LIMIT_S):
        listens = bot.stdout.readline()
    return bot if listens else None


@contextlib.contextmanager
def not_for_ever(bot, limit_s):
    """Whoever reads the bot's output in here comes to its end after that time."""
    timer = threading.Timer(limit_s, bot.kill)
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def last_words(bot):
    """What the bot has told up to the end of the call."""
    lines = []
    with not_for_ever(bot, END_LIMIT_S):
        for line in bot.stdout:
            lines.append(json.loads(line))
            if lines[-1]["event"] == "closed":
                break
    bot.kill()
    bot.wait()
    return lines


def report(caller, lines, folder):
    """What was said and heard; true if the caller got an answer."""
    answered = caller.answered_at()
    print(f'    erin said           "{PHRASE}"')
    turn = next((line for line in lines if line["event"] == "turn"), None)
    if turn:
        print(f'    the bot understood  "{turn["heard"]}"')
        print(f'    and answered        "{turn["answered"]}"')
    if not answered:
        print("    erin heard no answer.")
        return False
    path = os.path.join(folder, "erin-heard.wav")
    caller.save(path)
    took = f"{answered - caller.last_word:.2f} s after her last word"
    if turn:
        print(f"    erin heard it {took}; the bot waits for 0.5 s of silence and then took "
              f"{turn['thinking_ms'] / 1000:.2f} s")
    else:
        print(f"    erin heard her own voice, last {took}")
    print(f"    saved as {path}")
    return True


def call_to_the_bot(network, relay, folder):
    print("\nCall 3: erin calls frank, and the proxy has the relay connect her to an AI voice endpoint.")
    if not can_run():
        print("    Left out: the bot needs python3-websockets.")
        return True
    udp = network.udp_socket("erin", "192.0.2.105", 40000)
    bot = start_bot(network)
    if bot is None:
        print("    The bot ended before it listened.")
        return False
    relay.port_for("Uc0 call-3@erin.example 192.0.2.105 40000 tagE;1")
    where = relay.port_for("Lc0 call-3@erin.example 192.0.2.106 50000 tagE;1 tagF;1")
    relay.command("P-1 call-3@erin.example ai:bot 0 tagE;1 tagF;1")
    caller = Caller(udp, where)
    caller.talk()
    figures = json.loads(relay.command("J voices", show=False))["profiles"]["bot"]
    relay.command("D call-3@erin.example tagE tagF")
    lines = last_words(bot)
    well = report(caller, lines, folder)
    print(f"    in the relay: {figures['up']['p99_ms']:.1f} ms from a packet to the endpoint, "
          f"{figures['down']['p99_ms']:.1f} ms back (99 of 100)")
    if mode() == "echo":
        print("    The bot echoed. With flite, pocketsphinx and pocketsphinx-en-us installed it "
              "understands and answers.")
    return well
