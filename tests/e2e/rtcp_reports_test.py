#!/usr/bin/env python3
"""The RTCP reports of a real call at a collector, over the transport that the argument names: HEP
version 3, with the phones' addresses as the relay sees them and the JSON of what they sent. One phone
is behind a NAT. A second collector that nobody answers for costs nothing."""

import asyncio
import collections
import ipaddress
import json
import struct
import sys

import e2e
from calls import RELAY, Pair, Stage
from case import check
from media import RTCP

COLLECTOR, PORT, CAPTURE_ID = "192.0.2.60", 9060, 0x01020304
SECONDS = 2

Report = collections.namedtuple("Report", "family protocol source source_port destination "
                                "destination_port time kind capture_id call_id payload")


def chunks(packet):
    """By type; of the generic vendor."""
    check(packet[:4] == b"HEP3", f"not HEP3: {packet[:4]}")
    check(struct.unpack("!H", packet[4:6])[0] == len(packet), "the length is not the packet's")
    found, at = {}, 6
    while at < len(packet):
        vendor, number, length = struct.unpack("!HHH", packet[at:at + 6])
        check(vendor == 0 and 6 <= length <= len(packet) - at, f"bad chunk {number} at {at}")
        check(number not in found, f"chunk {number} twice")
        found[number] = packet[at + 6:at + length]
        at += length
    return found


def decode(packet):
    c = chunks(packet)

    def number(chunk, layout):
        return struct.unpack("!" + layout, c[chunk])[0]

    return Report(number(1, "B"), number(2, "B"), str(ipaddress.ip_address(c[3])), number(7, "H"),
                  str(ipaddress.ip_address(c[4])), number(8, "H"),
                  number(9, "I") + number(10, "I") / 1e6, number(11, "B"), number(12, "I"),
                  c[0x11].decode(), json.loads(c[0x0f]))


class Collector:
    """Listens on a host of its own for as long as the test runs."""

    def __init__(self, lab):
        lab.add_host("collector", COLLECTOR)
        self._lab, self.reports = lab, []

    async def listen(self, transport):
        loop = asyncio.get_running_loop()
        if transport == "udp":
            self._udp = self._lab.udp_socket("collector", COLLECTOR, PORT)
            loop.add_reader(self._udp.fileno(), self._on_datagram)
            return
        with self._lab.inside("collector"):
            self._server = await asyncio.start_server(self._on_stream, COLLECTOR, PORT)

    def _on_datagram(self):
        self.reports.append(decode(self._udp.recv(65536)))

    async def _on_stream(self, reader, _):
        try:
            while True:
                head = await reader.readexactly(6)
                rest = await reader.readexactly(struct.unpack("!H", head[4:])[0] - 6)
                self.reports.append(decode(head + rest))
        except asyncio.IncompleteReadError as end:
            check(not end.partial, "the stream ended within a packet")


def check_reports(reports, conversation, call_id, public):
    for report in reports:
        check((report.family, report.protocol, report.kind) == (2, 17, 5), f"{report}")
        check(report.capture_id == CAPTURE_ID, f"capture id {report.capture_id:#x}")
        check(report.call_id == call_id, f"call-id {report.call_id}, expected {call_id}")
        check(report.destination == RELAY, f"to {report.destination}, expected the relay")
    for port, address in ((conversation.caller, public[0]), (conversation.callee, public[1])):
        of_party = [r for r in reports if r.source == address]
        sent = port.sent_count[RTCP]
        check(len(of_party) == sent, f"{len(of_party)} reports of {port.name}, which sent {sent}")
        local = {r.destination_port for r in of_party}
        check(local == {port.remote[RTCP][1]}, f"{port.name}'s came to {local}")
        check([r.payload["sender_information"]["packets"] for r in of_party] == list(range(sent)),
              f"{port.name}'s are not in order")
        check({r.payload["ssrc"] for r in of_party} == {port.ssrc}, f"{of_party[0].payload}")
        check(all(r.payload["type"] == 200 and r.payload["report_count"] == 0 for r in of_party),
              f"{of_party[0].payload}")
        spread = of_party[-1].time - of_party[0].time
        check(SECONDS * 0.7 < spread < SECONDS * 3, f"captured within {spread} s")


async def test(lab):
    transport = sys.argv[1]
    collector = Collector(lab)
    await collector.listen(transport)
    nobody = f"{transport}:{COLLECTOR}:9"
    stage = Stage(lab, options=("--hep", f"{transport}:{COLLECTOR}:{PORT}/{CAPTURE_ID}", "--hep",
                                nobody))
    alice_host, bob_host = stage.phone_behind_nat("alice", 1), stage.public_phone("bob", 2)
    await stage.ready()
    pair = await Pair(stage, alice_host, bob_host).start()
    a, b, inviting = await pair.next_call()
    invited = await b.expect("invited")
    answered = await a.expect("answered")
    conversation = pair.converse(answered, inviting.local_port, invited)
    await conversation.open()
    await conversation.talk(SECONDS)
    figures = await conversation.finish()
    await a.expect("may hang up")
    a.go()
    await pair.finished()
    figures.check_perfect("a call with RTCP reports", at_least=200)
    wanted = conversation.caller.sent_count[RTCP] + conversation.callee.sent_count[RTCP]
    for _ in range(100):
        if len(collector.reports) >= wanted:
            break
        await asyncio.sleep(0.1)
    check_reports(collector.reports, conversation, a.call_id, ("192.0.2.41", "192.0.2.102"))
    stage.close()
    e2e.figures(f"{len(collector.reports)} reports over {transport}; {figures}")


if len(sys.argv) != 2 or sys.argv[1] not in ("udp", "tcp"):
    sys.exit("expected udp or tcp")
e2e.run(test)
