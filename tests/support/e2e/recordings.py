"""Reads what the relay has recorded, and compares it with what the phones have sent."""

import array
import shutil
import socket
import struct
import subprocess
from dataclasses import dataclass

import audio
from case import CheckFailed, check
from media import RTP
from netlab import CannotRun


@dataclass
class Record:
    source: tuple  # address, port
    payload: bytes
    arrival_s: float


def read_adhoc(path):
    data, at, records = path.read_bytes(), 0, []
    while at < len(data):
        family, = struct.unpack_from("=H", data, at)
        port, = struct.unpack_from("!H", data, at + 2)
        ipv6 = family == socket.AF_INET6
        address = socket.inet_ntop(family, data[at + 4:at + (20 if ipv6 else 8)])
        arrival, length = struct.unpack_from("=dH", data, at + 20)
        payload = data[at + 30:at + 30 + length]
        check(len(payload) == length, f"{path.name} ends within a record")
        records.append(Record((address, port), payload, arrival))
        at += 30 + length
    return records


def read_pcap(path):
    """By tshark, which must not find anything wrong, checksums included."""
    if shutil.which("tshark") is None:
        raise CannotRun("the program 'tshark' is not installed")
    fields = ["frame.time_epoch", "ip.src", "ipv6.src", "udp.srcport", "ip.dst", "ipv6.dst",
              "udp.dstport", "udp.payload", "_ws.expert.message", "_ws.malformed"]
    done = subprocess.run(
        ["tshark", "-r", str(path), "-o", "udp.check_checksum:TRUE", "-o",
         "ip.check_checksum:TRUE", "-T", "fields", "-E", "separator=|"]
        + [word for field in fields for word in ("-e", field)], capture_output=True, text=True)
    said = [line for line in done.stderr.splitlines() if "Running as user" not in line]
    check(done.returncode == 0 and not said, f"tshark said of {path.name}: {said}")
    records, local = [], []
    for line in done.stdout.splitlines():
        at, ip4, ip6, port, to4, to6, to_port, payload, expert, malformed = line.split("|")
        check(not expert and not malformed, f"tshark found {expert} {malformed} in {path.name}")
        records.append(Record((ip4 or ip6, int(port)), bytes.fromhex(payload), float(at)))
        local.append((to4 or to6, int(to_port)))
    return records, local


def check_sound(what, samples, port):
    """One channel has this phone's audio, sample for sample, from some packet before the first
    counted one on."""
    sent = {number: packet[12:] for packet, (kind, number) in port.sent.items() if kind == RTP}
    decoded = [audio.alaw_to_linear(code) for code in range(256)]
    heard = {n: array.array("h", (decoded[code] for code in payload)).tobytes()
             for n, payload in sent.items()}
    samples = samples.tobytes()
    for first in range(port.counted_from[RTP] + 1):
        expected = b"".join(heard[n] for n in range(first, port.sent_count[RTP]))
        at = samples.find(expected)
        if at >= 0 and at % 2 == 0:
            silent = samples[:at].count(0) + samples[at + len(expected):].count(0)
            check(silent == len(samples) - len(expected), f"{what}: something besides the audio")
            return len(expected) // 2
    raise CheckFailed(f"{what}: {len(samples) // 2} samples, the audio is not among them")


def check_complete(what, records, port, kind, until=None):
    """`records` are this phone's packets of one kind: from some packet before the first counted one
    on each of them, in order, once."""
    numbers = []
    for record in records:
        sent_kind, number = port.sent.get(record.payload, (None, None))
        check(sent_kind == kind, f"{what}: {record.payload[:16].hex()} was not sent as {kind}")
        numbers.append(number)
    end = port.sent_count[kind] if until is None else until
    check(numbers, f"{what}: nothing is recorded")
    check(numbers[0] <= port.counted_from[kind],
          f"{what}: begins with {numbers[0]}, counted from {port.counted_from[kind]}")
    check(numbers == list(range(numbers[0], end)),
          f"{what}: {len(numbers)} packets {numbers[0]}..{numbers[-1]} of {end}, not each in order")
    late = [b.arrival_s - a.arrival_s for a, b in zip(records, records[1:])]
    check(all(gap >= -1e-6 for gap in late), f"{what}: times run backwards")
    return len(numbers)
