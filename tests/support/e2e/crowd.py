"""Many phones of one host in a process of their own, for tests with hundreds of streams.

What phone `n` says as its packet `k` is a pure function of its side, `n` and `k`, so the crowd at
the other end can check every datagram it hears without being told what was sent.
"""

import ctypes
import heapq
import multiprocessing
import random
import select
import signal
import socket
import struct
import time
from dataclasses import dataclass, field

import audio
from case import check
from netlab import PR_SET_PDEATHSIG

PACKET_S = 0.020
RTCP_EVERY = 50  # packets
PAYLOADS = 64
_fork = multiprocessing.get_context("fork")


class Voices:
    """Everything one side of the calls will ever say."""

    def __init__(self, side):
        self._side = side
        speech = audio.speech(PAYLOADS * PACKET_S, seed=side)
        step = audio.SAMPLES_PER_PACKET
        self._payloads = [speech[n * step:(n + 1) * step] for n in range(PAYLOADS)]

    def ssrc(self, phone):
        return (0x1000 + self._side) << 16 | phone

    def rtp(self, phone, number):
        header = struct.pack("!BBHII", 0x80, 8, number & 0xFFFF, number * 160 & 0xFFFFFFFF,
                             self.ssrc(phone))
        return header + self._payloads[(phone * 7 + number) % PAYLOADS]

    def rtcp(self, phone, number):
        """A receiver report without blocks, its number in a profile-specific extension."""
        return struct.pack("!BBHII", 0x80, 201, 2, self.ssrc(phone), number)


@dataclass
class StreamReport:
    """What one phone sent and heard. Numbers are packet numbers in the order they arrived."""
    sent: int = 0
    counted_from: int = 0
    heard: list = field(default_factory=list)
    strays: list = field(default_factory=list)


class _Phone:
    def __init__(self, number, address, port):
        self.number = number
        self.rtp, self.rtcp = (self._bind(address, port + n) for n in (0, 1))
        self.told = None  # the relay's endpoint, as signalled
        self.early = []   # heard before that
        self.report = StreamReport()

    @staticmethod
    def _bind(address, port):
        udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        udp.setsockopt(socket.SOL_SOCKET, 33, 1 << 20)  # SO_RCVBUFFORCE
        udp.bind((address, port))
        return udp


class _Member:
    """The child process's side: a loop over one pipe and all sockets."""

    def __init__(self, pipe, side, peer_side, address, ports):
        self._pipe = pipe
        self._voices, self._peer_voices = Voices(side), Voices(peer_side)
        self._phones = [_Phone(n, address, port) for n, port in enumerate(ports)]
        self._queue = []  # (due, phone number)
        self._epoll = select.epoll()
        self._by_descriptor = {pipe.fileno(): None}
        self._epoll.register(pipe.fileno(), select.EPOLLIN)
        for phone in self._phones:
            for udp in (phone.rtp, phone.rtcp):
                self._by_descriptor[udp.fileno()] = (phone, udp)
                self._epoll.register(udp.fileno(), select.EPOLLIN)

    def run(self):
        while True:
            wait = max(0.0, self._queue[0][0] - time.monotonic()) if self._queue else 1.0
            for descriptor, _ in self._epoll.poll(wait):
                entry = self._by_descriptor[descriptor]
                if entry is None:
                    if not self._obey(*self._pipe.recv()):
                        return
                else:
                    self._hear(*entry)
            self._speak()

    def _obey(self, order, argument):
        if order == "speak":
            number, told = argument
            phone = self._phones[number]
            phone.told = told
            while phone.early:
                self._judge(phone, *phone.early.pop(0))
            heapq.heappush(self._queue, (time.monotonic() + random.uniform(0, PACKET_S), number))
        elif order == "all heard?":
            talking = [p for p in self._phones if p.told]
            self._pipe.send([p.number for p in talking if not p.report.heard])
        elif order == "count":
            for phone in self._phones:
                phone.report.counted_from = phone.report.sent
        elif order == "silence":
            self._queue = [entry for entry in self._queue if entry[1] not in argument]
            heapq.heapify(self._queue)
        elif order == "report":
            for phone in self._phones:  # of phones that were never told, nothing is right
                phone.report.strays += [source for _, _, source in phone.early]
            self._pipe.send([p.report for p in self._phones])
        return order != "leave"

    def _speak(self):
        now = time.monotonic()
        while self._queue and self._queue[0][0] <= now:
            due, number = self._queue[0]
            phone = self._phones[number]
            k = phone.report.sent
            phone.rtp.sendto(self._voices.rtp(number, k), phone.told)
            if k % RTCP_EVERY == 0:
                phone.rtcp.sendto(self._voices.rtcp(number, k), (phone.told[0], phone.told[1] + 1))
            phone.report.sent += 1
            # A late wake-up shifts the rest: phones do not send bursts.
            heapq.heapreplace(self._queue, (max(due, now - PACKET_S / 2) + PACKET_S, number))

    def _hear(self, phone, udp):
        while True:
            try:
                datagram, source = udp.recvfrom(65536)
            except BlockingIOError:
                return
            except OSError:
                continue  # an ICMP error of something this phone sent
            if phone.told:
                self._judge(phone, udp, datagram, source)
            else:
                phone.early.append((udp, datagram, source))

    def _judge(self, phone, udp, datagram, source):
        if not self._is_of_peer(phone, udp, datagram, source):
            phone.report.strays.append((source, datagram[:24].hex()))

    def _is_of_peer(self, phone, udp, datagram, source):
        if len(datagram) < 12:
            return False
        address, port = phone.told
        if udp is phone.rtcp:
            number, = struct.unpack_from("!I", datagram, 8)
            return (source == (address, port + 1) and
                    datagram == self._peer_voices.rtcp(phone.number, number))
        number, = struct.unpack_from("!H", datagram, 2)
        if source != phone.told or datagram != self._peer_voices.rtp(phone.number, number):
            return False
        phone.report.heard.append(number)
        return True


class Crowd:
    """`len(ports)` phones on one host. `side` tells the two crowds of a test apart."""

    def __init__(self, lab, host, address, ports, side, peer_side):
        self.address, self.ports = address, ports
        self._pipe, theirs = _fork.Pipe()
        self._process = _fork.Process(
            target=self._live, args=(lab, host, theirs, side, peer_side), daemon=True)
        self._process.start()
        theirs.close()

    def _live(self, lab, host, pipe, side, peer_side):
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_DFL)
        with lab.inside(host):
            _Member(pipe, side, peer_side, self.address, self.ports).run()

    def speak(self, number, told):
        """Begins to speak, or goes on, towards what it was told in its SDP."""
        self._pipe.send(("speak", (number, told)))

    def deaf_phones(self):
        """Phones that speak and have heard nothing so far."""
        return self._ask("all heard?")

    def count_from_here(self):
        self._pipe.send(("count", None))

    def silence(self, numbers):
        self._pipe.send(("silence", set(numbers)))

    def report(self):
        return self._ask("report")

    def leave(self):
        self._pipe.send(("leave", None))
        self._process.join(5)

    def _ask(self, question):
        self._pipe.send((question, None))
        check(self._pipe.poll(20), f"the phones at {self.address} do not answer '{question}'")
        return self._pipe.recv()


@dataclass
class CrowdFigures:
    sent: int = 0
    lost: int = 0
    duplicated: int = 0
    reordered: int = 0
    strays: int = 0
    examples: list = field(default_factory=list)


def compare(speakers, hearers):
    """Of what the phones of one crowd said, what their peers heard."""
    figures = CrowdFigures()
    for number, (said, heard) in enumerate(zip(speakers, hearers)):
        counted = range(said.counted_from, said.sent)
        distinct = set(heard.heard)
        missing = [k for k in counted if k not in distinct]
        figures.sent += len(counted)
        figures.lost += len(missing)
        figures.duplicated += len(heard.heard) - len(distinct)
        figures.reordered += sum(b < a for a, b in zip(heard.heard, heard.heard[1:]))
        figures.strays += len(heard.strays)
        if missing:
            figures.examples.append(f"call {number}: {len(missing)} lost, from {missing[0]} on")
        figures.examples += heard.strays[:2]
    figures.examples = figures.examples[:6]
    return figures
