"""The media half of a phone: speaks real audio, checks what it hears datagram by datagram.

Sockets live in the phones' networks but belong to this process, so both ends of a conversation can
be compared exactly: every datagram heard must be one the other party sent, unchanged, once, in
order, and come from the address the phone was told in its SDP.
"""

import asyncio
import random
import socket
import struct
import time
from dataclasses import dataclass, field

import audio
from case import CheckFailed, check

RTP, RTCP = "RTP", "RTCP"
SO_TIMESTAMPNS = 35


class AudioSource:
    """RTP packets of 20 ms of G.711 A-law."""
    interval_s = 0.020

    def __init__(self, seed):
        self._voice = audio.speech(3.0, seed)
        dice = random.Random(seed)
        self.ssrc = dice.getrandbits(32)
        # Sequence numbers wrap within the first seconds of every other stream.
        self._sequence = dice.choice([65500, dice.randrange(65536)])
        self._timestamp = dice.getrandbits(32)

    def packet(self, n):
        step = audio.SAMPLES_PER_PACKET
        at = n * step % len(self._voice)
        header = struct.pack("!BBHII", 0x80, 8 | (0x80 if n == 0 else 0),
                             (self._sequence + n) & 0xFFFF,
                             (self._timestamp + n * step) & 0xFFFFFFFF, self.ssrc)
        return header + self._voice[at:at + step]


class VideoSource:
    """RTP packets the size of video, payload type 96."""
    interval_s = 0.033

    def __init__(self, seed):
        self._dice = random.Random(seed)
        self.ssrc = self._dice.getrandbits(32)

    def packet(self, n):
        header = struct.pack("!BBHII", 0x80, 96 | 0x80, n & 0xFFFF, n * 3000 & 0xFFFFFFFF,
                             self.ssrc)
        return header + self._dice.randbytes(self._dice.randrange(200, 1200))


class ReportSource:
    """Compound RTCP: sender report and CNAME; ten times as often as a phone would."""
    interval_s = 0.2

    def __init__(self, ssrc):
        self._ssrc = ssrc

    def packet(self, n):
        report = struct.pack("!BBHIQIII", 0x80, 200, 6, self._ssrc, time.time_ns(), n * 160, n,
                             n * 160)
        cname = b"phone@example"
        chunk = struct.pack("!IBB", self._ssrc, 1, len(cname)) + cname + b"\0"
        chunk += b"\0" * (-len(chunk) % 4)
        return report + struct.pack("!BBH", 0x81, 202, len(chunk) // 4) + chunk


@dataclass
class Heard:
    """What one party heard of one kind of packet."""
    numbers: list = field(default_factory=list)
    wrong_source: list = field(default_factory=list)


class MediaPort:
    """One medium of one party."""

    def __init__(self, lab, host, address, port, source, mux=False):
        self.name = host
        self.mux = mux
        self.ssrc = source.ssrc
        self._rtp_socket = lab.udp_socket(host, address, port)
        self._rtp_socket.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        self._rtcp_socket = None if mux else lab.udp_socket(host, address, port + 1)
        self._sources = {RTP: source, RTCP: ReportSource(source.ssrc)}
        self.remote = {RTP: None, RTCP: None}
        self.peer = None
        self.sent = {}        # datagram -> (kind, number)
        self.sent_count = {RTP: 0, RTCP: 0}
        self.counted_from = None
        self.heard = {}
        self.strays = []      # (source, first bytes) of what the peer has not sent
        self.capture = None   # a list: gets (time of arrival, datagram) of all RTP that is heard
        self._talkers = []
        loop = asyncio.get_running_loop()
        for udp in self._sockets():
            loop.add_reader(udp.fileno(), self._on_readable, udp)

    def _sockets(self):
        return [s for s in (self._rtp_socket, self._rtcp_socket) if s]

    def aim(self, address, port):
        """Where the SDP says media goes."""
        self.remote = {RTP: (address, port), RTCP: (address, port if self.mux else port + 1)}

    def listen_to(self, peer):
        """What is heard from now on should be this peer's."""
        self.peer = peer
        self.heard = {RTP: Heard(), RTCP: Heard()}
        self.strays = []

    def start(self, kinds=(RTP, RTCP)):
        if not self._talkers:
            self._talkers = [asyncio.create_task(self._talk(kind)) for kind in kinds]

    def mute(self):
        for talker in self._talkers:
            talker.cancel()
        self._talkers = []

    def close(self):
        self.mute()
        loop = asyncio.get_running_loop()
        for udp in self._sockets():
            loop.remove_reader(udp.fileno())
            udp.close()

    async def _talk(self, kind):
        source = self._sources[kind]
        udp = self._rtp_socket if kind == RTP or self.mux else self._rtcp_socket
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            datagram = source.packet(self.sent_count[kind])
            self.sent[datagram] = (kind, self.sent_count[kind])
            self.sent_count[kind] += 1
            udp.sendto(datagram, self.remote[kind])
            # A late wake-up shifts the rest: phones do not send bursts.
            due = max(due + source.interval_s, loop.time() + source.interval_s / 4)
            await asyncio.sleep(due - loop.time())

    def _on_readable(self, udp):
        while True:
            try:
                datagram, stamps, _, source = udp.recvmsg(65536, 64)
            except BlockingIOError:
                return
            except OSError:
                continue  # an ICMP error of something we sent
            if self.capture is not None and udp is self._rtp_socket:
                seconds, nanoseconds = struct.unpack("qq", stamps[0][2])
                self.capture.append((seconds + nanoseconds / 1e9, datagram))
            kind, number = self.peer.sent.get(datagram, (None, None)) if self.peer else (None, None)
            expected_socket = self._rtp_socket if kind == RTP or self.mux else self._rtcp_socket
            if kind is None or udp is not expected_socket:
                self.strays.append((source[:2], datagram[:16].hex()))
                continue
            self.heard[kind].numbers.append(number)
            if source[:2] != self.remote[kind]:
                self.heard[kind].wrong_source.append(source[:2])


class Conversation:
    """Two MediaPorts that talk to each other through the relay."""

    def __init__(self, caller, callee, label="call"):
        self.caller, self.callee, self.label = caller, callee, label
        self.kinds = (RTP, RTCP)
        caller.listen_to(callee)
        callee.listen_to(caller)

    def directions(self):
        return ((self.caller, self.callee), (self.callee, self.caller))

    async def open(self, timeout_s=10):
        """Both speak until both have heard each other (a phone behind a NAT hears nothing before
        it has spoken); what is sent from then on is counted."""
        self.caller.start(self.kinds)
        self.callee.start(self.kinds)
        give_up = time.monotonic() + timeout_s
        while missing := [f"{b.name} hears no {kind} of {a.name}" for a, b in self.directions()
                          for kind in self.kinds if not b.heard[kind].numbers]:
            check(time.monotonic() < give_up, f"{self.label}: after {timeout_s} s {missing}")
            await asyncio.sleep(0.01)
        self.count_from_here()

    def count_from_here(self):
        for port in (self.caller, self.callee):
            port.counted_from = dict(port.sent_count)

    async def talk(self, seconds):
        """Until both have sent so much counted audio."""
        goal = {p: p.sent_count[RTP] + int(seconds / p._sources[RTP].interval_s)
                for p in (self.caller, self.callee) if p._talkers}
        while any(port.sent_count[RTP] < n for port, n in goal.items()):
            await asyncio.sleep(0.02)

    def lost(self):
        """Numbers of counted packets not heard, by (direction, kind)."""
        missing = {}
        for sender, hearer in self.directions():
            for kind in self.kinds:
                counted = range(sender.counted_from[kind], sender.sent_count[kind])
                heard = set(hearer.heard[kind].numbers)
                missing[sender.name, hearer.name, kind] = [n for n in counted if n not in heard]
        return missing

    async def pause(self, patience_s=2.0):
        """Falls silent, waits for what is under way, and returns the Figures so far."""
        self.caller.mute()
        self.callee.mute()
        give_up = time.monotonic() + patience_s
        while any(self.lost().values()) and time.monotonic() < give_up:
            await asyncio.sleep(0.01)
        return Figures.of(self)

    async def finish(self):
        result = await self.pause()
        self.caller.close()
        self.callee.close()
        return result


@dataclass
class Figures:
    sent: int = 0
    lost: int = 0
    duplicated: int = 0
    reordered: int = 0
    wrong_source: int = 0
    strays: int = 0
    problems: list = field(default_factory=list)

    @staticmethod
    def of(conversation):
        figures = Figures()
        for (sender, hearer, kind), numbers in conversation.lost().items():
            figures.lost += len(numbers)
            if numbers:
                figures.problems.append(f"{sender} to {hearer}: {kind} {numbers[:10]} lost")
        for port in (conversation.caller, conversation.callee):
            figures.strays += len(port.strays)
            if port.strays:
                figures.problems.append(f"{port.name} heard strangers: {port.strays[:3]}")
            for kind in conversation.kinds:
                figures.sent += port.sent_count[kind] - port.counted_from[kind]
                heard = port.heard[kind]
                figures.duplicated += len(heard.numbers) - len(set(heard.numbers))
                figures.reordered += sum(b < a for a, b in zip(heard.numbers, heard.numbers[1:]))
                figures.wrong_source += len(heard.wrong_source)
                if heard.wrong_source:
                    figures.problems.append(
                        f"{port.name} heard {kind} from {heard.wrong_source[0]}"
                        f" but was told {port.remote[kind]}")
        return figures

    def add(self, other):
        for name in ("sent", "lost", "duplicated", "reordered", "wrong_source", "strays"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.problems += other.problems

    def check_perfect(self, label, at_least):
        if self.lost or self.duplicated or self.reordered or self.wrong_source or self.strays:
            raise CheckFailed(f"{label}: {self}")
        check(self.sent >= at_least,
              f"{label}: only {self.sent} packets were counted, expected {at_least}")
