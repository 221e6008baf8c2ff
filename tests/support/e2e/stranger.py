"""A host that is party to no call: sprays media at the relay and counts what comes back."""

import ctypes
import multiprocessing
import random
import signal
import socket
import struct
import time

from netlab import PR_SET_PDEATHSIG

SOURCES_PER_ADDRESS = 8
BURST = 40
_fork = multiprocessing.get_context("fork")


class Spray:
    """Datagrams to every port of the relay's range, until stopped.

    Half of them come from one source that keeps one SSRC and counts up on every port, as a stream
    would; the other half from many sources: RTP, RTCP, STUN-like and short rubbish.
    """

    def __init__(self, lab, host, addresses, relay, ports, packets_per_second):
        self._pipe, theirs = _fork.Pipe()
        self._process = _fork.Process(
            target=self._live, daemon=True,
            args=(lab, host, addresses, relay, ports, packets_per_second, theirs))
        self._process.start()
        theirs.close()

    def stop(self):
        """Returns (datagrams sent, UDP datagrams the relay sent us)."""
        self._pipe.send("stop")
        result = self._pipe.recv() if self._pipe.poll(20) else None
        self._process.join(5)
        return result

    @staticmethod
    def _live(lab, host, addresses, relay, ports, packets_per_second, pipe):
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_DFL)
        with lab.inside(host):
            # ETH_P_IP: incoming packets only. Sees what the sockets below would miss.
            tap = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK,
                                socket.htons(0x0800))
            tap.setsockopt(socket.SOL_SOCKET, 33, 8 << 20)  # SO_RCVBUFFORCE
            sources = []
            for address in addresses:
                for _ in range(SOURCES_PER_ADDRESS):
                    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
                    udp.bind((address, 0))
                    sources.append(udp)
        sent = received = 0
        targets = [(relay, port) for port in ports]
        due = time.monotonic()
        for datagram, source, target in _rounds(sources, targets):
            try:
                source.sendto(datagram, target)
                sent += 1
            except OSError:
                pass  # an ICMP error of an earlier one
            if sent % BURST == 0:
                received += _count_udp_from(tap, relay)
                if pipe.poll():
                    break
                due = max(due + BURST / packets_per_second, time.monotonic() - 0.05)
                time.sleep(max(0.0, due - time.monotonic()))
        time.sleep(0.5)
        received += _count_udp_from(tap, relay)
        pipe.send((sent, received))


def _rounds(sources, targets):
    dice = random.Random(42)
    steady, others = sources[0], sources[1:]
    number = 0
    while True:
        number += 1
        stream = struct.pack("!BBHII", 0x80, 8, number & 0xFFFF, number * 160, 0xBAD0BAD0)
        stream += b"\xd5" * 160
        dice.shuffle(targets)
        for target in targets:
            yield stream, steady, target
            ssrc = dice.getrandbits(32)
            rubbish = dice.choice((
                struct.pack("!BBHII", 0x80, 8, dice.getrandbits(16), number, ssrc) + bytes(160),
                struct.pack("!BBHI", 0x81, 203, 1, ssrc),                        # RTCP BYE
                struct.pack("!HHI", 1, 0, 0x2112A442) + dice.randbytes(12),      # STUN binding
                dice.randbytes(dice.randrange(40))))
            yield rubbish, dice.choice(others), target


def _count_udp_from(tap, address):
    wanted = socket.inet_aton(address)
    count = 0
    while True:
        try:
            packet = tap.recv(64)
        except BlockingIOError:
            return count
        count += packet[9] == socket.IPPROTO_UDP and packet[12:16] == wanted
