#!/usr/bin/env python3
"""A call is recorded or copied, and what comes out is compared datagram for datagram with what the
phones have sent; the call itself loses nothing."""

import array
import asyncio
import socket
import sys
import time
import wave

import e2e
from calls import RELAY, Pair, Stage
from media import RTCP, RTP
from recordings import check_complete, check_sound, read_adhoc, read_pcap

COLLECTOR = "192.0.2.150"


class RecordedCall:
    """A call between public phones, in a relay with a recording directory."""

    def __init__(self, lab, *options, record=""):
        self.directory, self.spool = lab.directory / "rec", lab.directory / "spool"
        self.directory.mkdir()
        self.spool.mkdir()
        self.stage = Stage(lab, options=("-r", self.directory, *options), record=record)
        self._hosts = (self.stage.public_phone("alice", 1), self.stage.public_phone("bob", 2))

    async def start(self):
        await self.stage.ready()
        self._pair = await Pair(self.stage, *self._hosts).start()
        self._alice, bob, inviting = await self._pair.next_call()
        invited = await bob.expect("invited")
        self._answered = await self._alice.expect("answered")
        self.call_id, self.tag = self._alice.call_id, invited.from_tag
        self.talk = self._pair.converse(self._answered, inviting.local_port, invited)
        await self.talk.open()
        return self

    def ask(self, command, expected="0"):
        reply = self.stage.control.send(command)
        e2e.check(reply == expected, f"'{command}' was answered '{reply}', expected '{expected}'")

    async def hang_up(self):
        figures = await self.talk.finish()
        await self._alice.expect("may hang up")
        self._alice.go()
        await self._pair.finished()
        await self.stage.until_gone(self.call_id, self.tag)
        figures.check_perfect("the call", at_least=200)
        return figures

    async def until_recorded(self, name, seconds=10):
        """The recording has ended and is where it belongs."""
        path = self.directory / name
        give_up = time.monotonic() + seconds
        while not path.exists() or self.stage.relay.open_files(self.directory, self.spool):
            e2e.check(time.monotonic() < give_up, f"{name} is not complete: {self.names()}")
            await asyncio.sleep(0.05)
        return path

    def names(self):
        return {path.name for path in self.directory.iterdir()}

    def close(self):
        self.stage.close()


async def kamailio(lab):
    """start_recording() where the INVITE and its answers pass."""
    call = await RecordedCall(lab, record="start_recording();").start()
    await call.talk.talk(2)
    figures = await call.hang_up()
    total = 0
    for side, port in (("o", call.talk.caller), ("a", call.talk.callee)):
        for suffix, kind, offset in (("rtp", RTP, 0), ("rtcp", RTCP, 1)):
            path = await call.until_recorded(f"{call.call_id}={call.tag}.{side}.{suffix}")
            records = read_adhoc(path)
            total += check_complete(path.name, records, port, kind)
            sources = {record.source for record in records}
            e2e.check(len(sources) == 1 and next(iter(sources))[1] % 2 == offset,
                      f"{path.name} has packets from {sources}")
    e2e.check(len(call.names()) == 4, f"there is more than the four files: {call.names()}")
    call.close()
    e2e.figures(f"{figures}; {total} packets in four files")


async def pcap(lab):
    """Everything in one file, spooled; stopped by N in the midst of the call."""
    call = await RecordedCall(lab, "-P", "-S", lab.directory / "spool").start()
    name = f"{call.call_id}={call.tag}.pcap"
    call.ask(f"Rs {call.call_id} {call.tag}")
    call.ask(f"Rs {call.call_id} x {call.tag}")
    call.ask(f"Rs {call.call_id} {call.tag}", "E50")
    call.talk.count_from_here()
    await call.talk.talk(2)
    e2e.check((call.spool / name).exists() and not call.names(), "the file is not in the spool")
    call.ask(f"N {call.call_id} {call.tag}")
    await call.talk.talk(0.5)
    call.ask(f"Na {call.call_id} {call.tag}")
    call.ask(f"Na {call.call_id} {call.tag}", "E50")
    path = await call.until_recorded(name)
    e2e.check(not list(call.spool.iterdir()), "something is left in the spool")
    await call.talk.talk(0.5)
    figures = await call.hang_up()
    records, local = read_pcap(path)
    e2e.check({address for address, _ in local} == {RELAY}, f"packets went to {set(local)}")
    counts = []
    for port in (call.talk.caller, call.talk.callee):
        for kind in (RTP, RTCP):
            chosen = [r for r in records if port.sent.get(r.payload, (None,))[0] == kind]
            last = port.sent[chosen[-1].payload][1]
            counts.append(check_complete(f"{kind} of {port.name}", chosen, port, kind, last + 1))
    e2e.check(sum(counts) == len(records), f"{len(records) - sum(counts)} packets are nobody's")
    e2e.check(counts[2] > counts[0], "N of the caller did not stop the caller alone")
    call.close()
    e2e.figures(f"{figures}; {counts} packets in {name}, nothing for tshark to complain about")


async def copy(lab):
    """To UDP, RTCP on the port above; both directions to one collector."""
    lab.add_host("collector", COLLECTOR)
    call = await RecordedCall(lab).start()
    sockets = {kind: lab.udp_socket("collector", COLLECTOR, port)
               for kind, port in ((RTP, 19000), (RTCP, 19001))}
    local = {}
    for tags, port in ((f"{call.tag};1", call.talk.caller),
                       (f"x;1 {call.tag};1", call.talk.callee)):
        reply = call.stage.control.send(f"Cp {call.call_id} udp:{COLLECTOR}:19000 {tags}")
        words = reply.split()
        e2e.check(len(words) == 2 and words[1] == RELAY, f"Cp was answered '{reply}'")
        local[port] = int(words[0])
    call.talk.count_from_here()
    await call.talk.talk(2)
    figures = await call.hang_up()
    received = {(port, kind): [] for port in local for kind in (RTP, RTCP)}
    for kind, udp in sockets.items():
        for datagram, source in drain(udp):
            port = next((p for p in local if datagram in p.sent), None)
            e2e.check(port, f"the collector got {datagram[:16].hex()}, which nobody sent")
            e2e.check(source == (RELAY, local[port] + (kind == RTCP)),
                      f"{kind} of {port.name} came from {source}, Cp said {local[port]}")
            received[port, kind].append(port.sent[datagram])
    for (port, kind), numbers in received.items():
        wanted = [(kind, n) for n in range(port.counted_from[kind], port.sent_count[kind])]
        e2e.check(numbers[-len(wanted):] == wanted,
                  f"{kind} of {port.name}: {len(numbers)} copies of {len(wanted)}")
    call.close()
    e2e.figures(f"{figures}; {sum(map(len, received.values()))} copies")


def drain(udp):
    while True:
        try:
            yield udp.recvfrom(65536)
        except (BlockingIOError, socket.timeout):
            return


async def every_session(lab):
    """-a -P: in one file, to the end of the session."""
    call = await RecordedCall(lab, "-a", "-P").start()
    await call.talk.talk(2)
    figures = await call.hang_up()
    path = await call.until_recorded(f"{call.call_id}={call.tag}.pcap")
    records, _ = read_pcap(path)
    count = 0
    for port in (call.talk.caller, call.talk.callee):
        for kind in (RTP, RTCP):
            chosen = [r for r in records if port.sent.get(r.payload, (None,))[0] == kind]
            count += check_complete(f"{kind} of {port.name}", chosen, port, kind)
    e2e.check(count == len(records), "there are packets that nobody sent")
    call.close()
    e2e.figures(f"{figures}; {count} packets")


async def sound(lab):
    """A WAV file, the caller left, the callee right."""
    call = await RecordedCall(lab, "-a", "--record-format=wav").start()
    await call.talk.talk(2)
    figures = await call.hang_up()
    path = await call.until_recorded(f"{call.call_id}={call.tag}.wav")
    with wave.open(str(path)) as file:
        told = file.getnchannels(), file.getsampwidth(), file.getframerate()
        e2e.check(told == (2, 2, 8000), f"channels, bytes, rate: {told}")
        both = array.array("h", file.readframes(file.getnframes()))
    count = [check_sound(f"{port.name}'s side", both[side::2], port)
             for side, port in enumerate((call.talk.caller, call.talk.callee))]
    call.close()
    e2e.figures(f"{figures}; {count} samples as sent")


CASES = {"kamailio": kamailio, "pcap": pcap, "copy": copy, "every_session": every_session,
         "sound": sound}
if len(sys.argv) != 2 or sys.argv[1] not in CASES:
    sys.exit(f"expected one of: {' '.join(CASES)}")
e2e.run(CASES[sys.argv[1]])
