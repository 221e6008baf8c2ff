"""The signalling half of a phone: SIPp, told what to do by a Script and steered call by call.

SIPp reports events and waits for leave to go on over its "third party call control" connection,
of which this process is the other side: so a test knows the SDP each phone has received, and nobody
hangs up before the media has been checked.
"""

import asyncio
import os
import re
import socket
from dataclasses import dataclass

from case import CheckFailed, check
from netlab import require

DOMAIN = "sip.example"
END_OF_MESSAGE = b"\x1b"
# Four ports a call. SIPp keeps the first ones of its range for itself.
AUDIO_PORT, VIDEO_PORT = "[auto_media_port+8]", "[auto_media_port+10]"
MOVED_BY = 1000  # ports; for phones that move in mid-call


def sdp(direction="sendrecv", video=False, mux=False, moved=False):
    """SDP of a phone; `direction` may also be "hold", the old way (RFC 2543, address 0.0.0.0)."""
    address = "0.0.0.0" if direction == "hold" else "[media_ip]"
    port = f"[auto_media_port+{8 + MOVED_BY}]" if moved else AUDIO_PORT
    lines = ["v=0", "o=phone 1 1 IN IP[media_ip_type] [media_ip]", "s=-",
             f"c=IN IP[media_ip_type] {address}", "t=0 0",
             f"m=audio {port} RTP/AVP 8 101", "a=rtpmap:8 PCMA/8000",
             "a=rtpmap:101 telephone-event/8000"]
    if direction in ("sendonly", "recvonly", "inactive"):
        lines.append(f"a={direction}")
    lines += ["a=rtcp-mux"] if mux else []
    if video:
        lines += [f"m=video {VIDEO_PORT} RTP/AVP 96", "a=rtpmap:96 VP8/90000"]
        lines += ["a=rtcp-mux"] if mux else []
    return "\n".join(lines) + "\n"


class Script:
    """Builds a SIPp scenario, message by message. `me` and `peer` are user names."""

    def __init__(self, me, peer=None):
        self._me, self._peer = me, peer
        self._steps = []
        self._cseq = 0
        self._knows_peer = self._called_out = False
        self._requests_received = 0

    def xml(self):
        # SIPp insists that kept variables are used, and that used ones are kept.
        kept = ["peer"] if self._knows_peer else []
        kept += ["via1", "via2"] if self._requests_received and not self._called_out else []
        used = f'<Reference variables="{",".join(kept)}"/>\n' if kept else ""
        return ('<?xml version="1.0" encoding="UTF-8"?>\n'
                f'<scenario name="{self._me}">\n' + "\n".join(self._steps) +
                f"\n{used}</scenario>\n")

    # What this phone sends.

    def invite(self, body=None):
        """The first INVITE; body None is a late offer."""
        self._cseq += 1
        self._called_out = True
        return self._send(f"INVITE sip:{self._peer}@{DOMAIN} SIP/2.0",
                          f"To: <sip:{self._peer}@{DOMAIN}>", "INVITE", body)

    def reinvite(self, body):
        return self.request("INVITE", body)

    def request(self, method, body=None, header=None):
        """A request inside the dialog, with a further header."""
        self._cseq += method != "ACK"
        more = ["[routes]", header] if header else ["[routes]"]
        return self._send(f"{method} [next_url] SIP/2.0", "To:[$peer]", method, body, *more,
                          retrans=method != "ACK")

    def ack(self, body=None):
        return self.request("ACK", body)

    def ack_of_refusal(self):
        return self._send(f"ACK sip:{self._peer}@{DOMAIN} SIP/2.0", "[last_To:]", "ACK",
                          retrans=False, branch="INVITE")

    def cancel(self):
        return self._send(f"CANCEL sip:{self._peer}@{DOMAIN} SIP/2.0",
                          f"To: <sip:{self._peer}@{DOMAIN}>", "CANCEL", branch="INVITE")

    def reply(self, status, body=None, reliable=False):
        # Later requests carry our tag already.
        first = not self._called_out and self._requests_received == 1
        tag = f";tag={self._tag()}" if first else ""
        return self._message(
            [f"SIP/2.0 {status}", "[last_Via:]", "[last_Record-Route:]", "[last_From:]",
             f"[last_To:]{tag}", "[last_Call-ID:]", "[last_CSeq:]", self._contact()],
            body, retrans=reliable)

    def refuse_cancelled(self):
        """487 to the INVITE, after the CANCEL has been answered."""
        return self._message(
            ["SIP/2.0 487 Request Terminated", "Via:[$via1]", "Via:[$via2]", "[last_From:]",
             f"[last_To:];tag={self._tag()}", "[last_Call-ID:]", "CSeq: 1 INVITE"],
            None, retrans=True)

    # What it waits for.

    def receive(self, what, optional=False):
        """A request by method or a response by status code."""
        kind = "response" if isinstance(what, int) else "request"
        self._requests_received += kind == "request"
        actions, routes = [], ""
        if what in ("INVITE", 200) and not self._knows_peer:
            # Who the peer is, tag included, as the header to send back; and the way to it.
            self._knows_peer = True
            routes = ' rrs="true"'
            header = "To:" if kind == "response" else "From:"
            actions = [_keep(header, 1, "peer")]
            if kind == "request":
                actions += [_keep("Via:", 1, "via1"), _keep("Via:", 2, "via2")]
        late = ' optional="true"' if optional else ""
        self._steps.append(f'<recv {kind}="{what}"{routes}{late}><action>{"".join(actions)}'
                           '</action></recv>' if actions else f'<recv {kind}="{what}"{late}/>')
        return self

    # What the test takes part in.

    def event(self, name, message=True):
        """Tells the test; with the last SIP message received, unless there is none."""
        text = ["Call-ID: [call_id]", f"Event: {name}", f"Local: audio {AUDIO_PORT}", "",
                "[last_message]" if message else ""]
        self._steps.append("<sendCmd><![CDATA[\n" + "\n".join(text) + "\n]]></sendCmd>")
        return self

    def wait(self, name, message=True):
        """An event after which this call goes on only when the test says so."""
        self.event(name, message)
        self._steps.append("<recvCmd/>")
        return self

    def hang_up(self):
        return self.request("BYE").receive(200)

    def be_hung_up(self, answer_after_ms=0):
        self.receive("BYE")
        if answer_after_ms:
            self._steps.append(f'<pause milliseconds="{answer_after_ms}"/>')
        return self.reply("200 OK")

    # Helpers.

    def _tag(self):
        return f"[pid]{self._me}[call_number]"

    def _contact(self):
        return f"Contact: <sip:{self._me}@[local_ip]:[local_port]>"

    def _send(self, request_line, to, method, body=None, *more, retrans=True, branch=None):
        key = f"{method}{len(self._steps)}" if branch is None else self._invite_branch
        if method == "INVITE":
            self._invite_branch = key
        return self._message(
            [request_line, f"Via: SIP/2.0/UDP [local_ip]:[local_port];"
             f"branch=z9hG4bK{self._me}[pid]-[call_number]-{key}",
             f"From: <sip:{self._me}@{DOMAIN}>;tag={self._tag()}", to, "Call-ID: [call_id]",
             f"CSeq: {self._cseq} {method}", "Max-Forwards: 70", self._contact(), *more],
            body, retrans)

    def _message(self, lines, body, retrans):
        if body:
            lines = [*lines, "Content-Type: application/sdp"]
        text = "\n".join([*lines, "Content-Length: [len]", "", body or ""])
        timer = ' retrans="500"' if retrans else ""
        self._steps.append(f"<send{timer}><![CDATA[\n{text}\n]]></send>")
        return self


def _keep(header, occurrence, variable):
    return (f'<ereg regexp=".*" search_in="hdr" header="{header}" occurrence="{occurrence}" '
            f'assign_to="{variable}"/>')


@dataclass
class Medium:
    kind: str
    address: str
    port: int
    mux: bool


def media_of(message):
    """The media of the SDP in a SIP message."""
    body = message.split("\r\n\r\n", 1)[1] if "\r\n\r\n" in message else ""
    session, *sections = re.split(r"(?m)^m=", body)
    found = []
    for section in sections:
        kind, port = section.split()[:2]
        address = re.search(r"(?m)^c=IN IP[46] (\S+)", section) or re.search(
            r"(?m)^c=IN IP[46] (\S+)", session)
        found.append(Medium(kind, address[1], int(port), "a=rtcp-mux" in section))
    return found


@dataclass
class Event:
    name: str
    local_port: int
    message: str

    @property
    def media(self):
        return media_of(self.message)

    @property
    def from_tag(self):
        return re.search(r"(?mi)^From:.*;tag=([^;\s]+)", self.message)[1]


class SipCall:
    """One call as one phone sees it."""

    def __init__(self, phone, call_id):
        self.phone, self.call_id = phone, call_id
        self.events = asyncio.Queue()
        self.writer = None

    async def expect(self, name, timeout_s=15):
        event = await self.phone.next_of(self.events, f"event '{name}'", timeout_s)
        check(event.name == name, f"{self.phone.name}: '{event.name}' where '{name}' was expected")
        return event

    def go(self):
        """Leave for a call that is in Script.wait."""
        self.writer.write(f"Call-ID: {self.call_id}\r\nFrom: test\r\n\r\n".encode() +
                          END_OF_MESSAGE)


class SipPhone:
    def __init__(self, lab, host, address, script, proxy_address, calls=1, parallel=1,
                 media_port=40000):
        require("sipp")
        self._lab, self.name, self.address = lab, host, address
        self._calls = {}
        self._new_calls = asyncio.Queue()
        self._prefix = lab.directory / f"sipp-{host}"
        self._prefix.with_suffix(".xml").write_text(script.xml())
        bracketed = f"[{proxy_address}]" if ":" in proxy_address else proxy_address
        self._arguments = [
            f"{bracketed}:5060", "-sf", self._prefix.with_suffix(".xml"), "-i", address,
            "-mi", address, "-p", "5060", "-m", str(calls), "-l", str(parallel),
            "-r", str(2 * parallel), "-mp", str(media_port),
            "-nostdin", "-timeout", "300", "-timeout_error", "-trace_err", "-error_file",
            self._prefix.with_suffix(".err"), "-trace_msg", "-message_file",
            self._prefix.with_suffix(".msg"), "-skip_rlimit"]

    async def start(self):
        with self._lab.inside(self.name):
            listener = socket.socket()
            listener.bind(("127.0.0.1", 0))
            listener.listen()
        self._server = await asyncio.start_server(self._on_connection, sock=listener,
                                                  limit=1 << 20)
        port = listener.getsockname()[1]
        self._process = self._lab.start(self.name, "sipp", *self._arguments, "-3pcc",
                                        f"127.0.0.1:{port}",
                                        output=self._prefix.with_suffix(".out"))
        return self

    async def next_call(self, timeout_s=15):
        """The next call this phone knows of that nobody has asked for."""
        return await self.next_of(self._new_calls, "call", timeout_s)

    async def next_of(self, queue, what, timeout_s):
        loop = asyncio.get_running_loop()
        give_up = loop.time() + timeout_s
        while loop.time() < give_up:
            if queue.empty():
                check(self._process.poll() in (None, 0),
                      f"{self.name}: SIPp ended before {what}\n{self.trouble()}")
            try:
                return await asyncio.wait_for(queue.get(), 0.5)
            except asyncio.TimeoutError:
                pass
        raise CheckFailed(f"{self.name}: no {what} within {timeout_s} s\n{self.trouble()}")

    def call(self, call_id):
        if call_id not in self._calls:
            self._calls[call_id] = SipCall(self, call_id)
        return self._calls[call_id]

    async def finished(self, timeout_s=20):
        """Waits for SIPp to end and fails unless it counted every call a success."""
        loop = asyncio.get_running_loop()
        give_up = loop.time() + timeout_s
        while self._process.poll() is None and loop.time() < give_up:
            await asyncio.sleep(0.02)
        check(self._process.returncode == 0,
              f"{self.name}: SIPp ended with {self._process.returncode}\n{self.trouble()}")
        self._server.close()

    def trouble(self):
        parts = []
        for suffix in (".err", ".out"):
            path = self._prefix.with_suffix(suffix)
            if path.exists():
                parts.append(path.read_text(errors="replace")[-1500:])
        return "\n".join(parts)

    async def _on_connection(self, reader, writer):
        try:
            while True:
                text = (await reader.readuntil(END_OF_MESSAGE))[:-1].decode(errors="replace")
                head, _, message = text.partition("\r\n\r\n")
                fields = dict(line.split(": ", 1) for line in head.split("\r\n") if ": " in line)
                known = fields["Call-ID"] in self._calls
                call = self.call(fields["Call-ID"])
                call.writer = writer
                if not known:
                    self._new_calls.put_nowait(call)
                call.events.put_nowait(Event(fields["Event"], int(fields["Local"].split()[1]),
                                             message))
        except (asyncio.IncompleteReadError, ConnectionResetError, asyncio.CancelledError):
            writer.close()  # SIPp has ended, or the test has


async def register(lab, host, address, user, proxy_address, timeout_s=10):
    """Registers the phone: from now on the proxy finds it, through its NAT if it has one."""
    with lab.udp_socket(host, address, 5060) as udp:
        call_id = f"register-{user}-{os.getpid()}@{address}"
        where = f"[{address}]" if ":" in address else address
        message = (f"REGISTER sip:{DOMAIN} SIP/2.0\r\n"
                   f"Via: SIP/2.0/UDP {where}:5060;rport;branch=z9hG4bK{host}\r\n"
                   f"From: <sip:{user}@{DOMAIN}>;tag=r\r\nTo: <sip:{user}@{DOMAIN}>\r\n"
                   f"Call-ID: {call_id}\r\nCSeq: 1 REGISTER\r\nMax-Forwards: 70\r\n"
                   f"Contact: <sip:{user}@{where}:5060>\r\nExpires: 600\r\n"
                   "Content-Length: 0\r\n\r\n").encode()
        loop = asyncio.get_running_loop()
        give_up = loop.time() + timeout_s
        while loop.time() < give_up:
            udp.sendto(message, (proxy_address, 5060))
            await asyncio.sleep(0.05)
            try:
                if udp.recv(4096).startswith(b"SIP/2.0 200"):
                    return
            except (BlockingIOError, ConnectionRefusedError):
                await asyncio.sleep(0.2)
    raise CheckFailed(f"{host}: could not register {user}@{DOMAIN}")
