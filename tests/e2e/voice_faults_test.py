#!/usr/bin/env python3
"""AI endpoints that fail in every way we know of, at two calls at once: in one an endpoint listens,
in the other it speaks with the caller. Both parties of the first hear each other and the callee of
the second hears the caller without a packet missing, from before the first fault until after the
last; what the caller of the second hears is one stream, and the callee's again after each fault.
Each fault is told by its name, and on_fail does what it says; what is odd and allowed is no fault
and takes bounded memory."""

import asyncio
import http.client
import json
import subprocess
from dataclasses import dataclass

import e2e
from direct import DirectStage
from media import AudioSource, Conversation
from netlab import require
from tones import audioop
from voices import PYTHON, Endpoint, check_one_stream, notices, packet_of, wait_for_notice

PROGRAM = "voice_faults.py"
FIRST_PORT, NO_PORT, HTTP_PORT = 8801, 8800, 8080
TEE, PARTY = "listened@example", "spoken@example"
MEMORY_MAX_KIB = 64 * 1024
TOLD_WITHIN_S = 20


@dataclass
class Fault:
    description: str
    mode: str
    error: str = ""      # of call-error; none: it is allowed
    tee_error: str = "the same"
    settings: str = ""
    on_fail: str = "pass"

    @property
    def profile(self):
        return self.mode + ("" if self.on_fail == "pass" else "-" + self.on_fail.split()[0])


FAULTS = (
    Fault("nobody listens there", "refused", "unreachable"),
    Fault("HTTP 401", "unauthorized", "rejected"),
    Fault("a certificate for another name", "other_name", "tls",
          settings='ca_file = "{certificate}"\nserver_name = "bot.example.net"\n'),
    Fault("accepts and never speaks", "silent", "connect-timeout"),
    # A listening endpoint owes nothing.
    Fault("upgraded and never speaks", "mute", "reply-timeout", tee_error=""),
    Fault("never reads", "deaf", "stalled",
          settings='driver = "l16"\nrate_hz = 48000\nreply_timeout_ms = 0\n'),
    Fault("30 s of audio in one message", "long_reply"),
    # It takes its time where the machine is busy.
    Fault("an octet a TCP segment", "single_octets",
          settings='driver = "l16"\nrate_hz = 8000\nreply_timeout_ms = 0\n'),
    Fault("gone in the middle of its reply", "cut_in_reply", "connection-lost"),
    Fault("binary, bad JSON, unknown events", "nonsense"),
    Fault("text that is not UTF-8", "bad_utf8", "protocol"),
    Fault("a frame of 2^62 octets", "length_bomb", "too-big"),
    Fault("audio without end, as fast as it is taken", "torrent"),
    Fault("then an announcement", "unauthorized", "rejected", on_fail="play hello"),
    Fault("then silence", "bad_utf8", "protocol", on_fail="silence"),
    Fault("then the proxy is told", "cut_in_reply", "connection-lost", on_fail="hangup-event"),
)


def write_config(lab, certificate):
    program = subprocess.run([PYTHON, Endpoint.folder / PROGRAM], capture_output=True, text=True)
    ports = {name: FIRST_PORT + n for n, name in enumerate(program.stdout.split())}
    text = ""
    for fault in FAULTS:
        settings = fault.settings.format(certificate=certificate)
        if "driver" not in settings:
            settings += 'driver = "twilio"\n'
        if "reply_timeout_ms" not in settings:
            settings += "reply_timeout_ms = 1000\n"
        scheme = "wss" if fault.mode == "other_name" else "ws"
        port = ports.get(fault.mode, NO_PORT)
        text += (f'[voice.{fault.profile}]\n{settings}retries = 0\n'
                 f'connect_timeout_ms = 1000\n'
                 f'on_fail = "{fault.on_fail}"\nurl = "{scheme}://127.0.0.1:{port}/"\n')
    config = lab.directory / "relay.toml"
    config.write_text(text)
    return config


def make_certificate(lab):
    certificate, key = lab.directory / "certificate.pem", lab.directory / "key.pem"
    lab.run("wire", "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
            "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", key, "-out", certificate,
            "-days", "2", "-subj", "/CN=other.example.net",
            "-addext", "subjectAltName=DNS:other.example.net")
    return certificate, key


class ProxyEvents:
    """What the proxy is told on its notification socket."""

    def __init__(self, lab):
        self._path, self.text = lab.directory / "events.sock", ""
        self.name = f"unix:{self._path}"

    async def listen(self):
        self._server = await asyncio.start_unix_server(self._on_connection, self._path)

    async def _on_connection(self, reader, writer):
        while data := await reader.read(4096):
            self.text += data.decode()
        writer.close()


class Faults:
    def __init__(self, stage, proxy_events, prompt):
        self._stage, self._proxy_events, self._prompt = stage, proxy_events, prompt
        self.tee = Conversation(stage.party("alice"), stage.party("bob"), "listened to")
        self.party = Conversation(stage.party("carol"), stage.party("dave"), "spoken with")
        # All that the callee of the second call ever says.
        voice = AudioSource(4)
        self._of_callee = {voice.packet(n)[12:] for n in range(150)}

    async def open(self):
        for call_id, talk in ((TEE, self.tee), (PARTY, self.party)):
            self._stage.call(call_id, talk.caller, talk.callee,
                             offered=f" {self._proxy_events.name} {call_id}")
            await talk.open()
        await self.tee.talk(1.2)  # long enough to go into the kernel, where there is one
        self.party.caller.capture = []

    def _command(self, command):
        reply = self._stage.control.send(command)
        e2e.check(reply == "0", f"'{command}' was answered '{reply}'")

    async def _until(self, condition, what):
        for _ in range(int(TOLD_WITHIN_S / 0.02)):
            if condition():
                return
            await asyncio.sleep(0.02)
        e2e.check(False, f"{what} within {TOLD_WITHIN_S} s")

    def _heard(self, since, chosen):
        return sum(chosen(datagram[12:]) for _, datagram in self.party.caller.capture[since:])

    def _is_callee(self, payload):
        return payload in self._of_callee

    def _is_quiet(self, payload):
        return audioop.rms(audioop.alaw2lin(payload, 2), 2) < 100

    def _is_endpoint(self, payload):
        return not self._is_callee(payload) and audioop.rms(audioop.alaw2lin(payload, 2), 2) > 500

    async def run(self, fault):
        began = len(self.party.caller.capture)
        self._command(f"C {TEE} ai:{fault.profile} fromA;1 toB;1")
        self._command(f"P1 {PARTY} ai:{fault.profile} session fromA;1 toB;1")
        tee_error = fault.error if fault.tee_error == "the same" else fault.tee_error
        if not fault.error and fault.mode != "nonsense":
            await self._until(lambda: self._heard(began, self._is_endpoint) > 30,
                              f"{fault.mode}: the endpoint is not heard")
        if fault.mode == "torrent":
            await asyncio.sleep(1.5)
        errors = {PARTY: fault.error, TEE: tee_error}
        for call_id, stop in ((PARTY, "S"), (TEE, "N")):
            if not errors[call_id]:
                await self._wait_for(call_id, fault, {"event": "started"})
                self._command(f"{stop} {call_id} fromA;1 toB;1")
        for call_id, error in errors.items():
            outcome = {"event": "ended", "outcome": "failed" if error else "stopped"}
            await self._wait_for(call_id, fault, outcome)
            told = [n["error"] for n in notices(self._stage, call_id)
                    if n["profile"] == fault.profile and n["event"] == "call-error"]
            e2e.check(told == [error] * bool(error), f"{fault.mode}: {call_id} told {told}")
        await self._check_consequence(fault, began)
        resumed = len(self.party.caller.capture)
        await self._until(lambda: self._heard(resumed, self._is_callee) >= 5,
                          f"{fault.mode}: the callee is not heard again")

    async def _check_consequence(self, fault, began):
        ended, heard = len(self.party.caller.capture), self.party.caller.capture
        if fault.on_fail.startswith("play"):
            await self._until(lambda: self._heard(began, self._prompt.__contains__) > 25,
                              "the announcement is not heard")
        elif fault.on_fail == "silence":
            await self._until(lambda: len(heard) > ended + 20, "there is no silence")
            loud = self._heard(ended + 1, lambda p: not self._is_quiet(p))
            e2e.check(loud == 0, f"{loud} packets of the silence are loud")
            self._command(f"S {PARTY} fromA;1 toB;1")
        elif fault.on_fail == "hangup-event":
            for call_id in (TEE, PARTY):
                await self._wait_for(call_id, fault, {"event": "hangup"})
                await self._until(lambda: f"{call_id}\n" in self._proxy_events.text,
                                  f"the proxy is not told of {call_id}")

    async def _wait_for(self, call_id, fault, wanted):
        await wait_for_notice(self._stage, call_id, {"profile": fault.profile, **wanted},
                              TOLD_WITHIN_S)

    async def finish(self):
        figures = await self.tee.pause()
        await self.party.pause(0.5)
        figures.check_perfect("the call that is listened to", at_least=300)
        party = self.party
        lost = [numbers for key, numbers in party.lost().items() if key[0] == party.caller.name]
        e2e.check(not any(lost), f"the callee who is not spoken with lost {lost}")
        e2e.check(not party.callee.strays, f"and heard {party.callee.strays[:3]}")
        check_one_stream([packet_of(*captured) for captured in party.caller.capture],
                         "the caller who is spoken with")
        for call_id in (TEE, PARTY):
            self._stage.end(call_id)
        return figures


def events_by_http(lab):
    with lab.inside("relay"):
        connection = http.client.HTTPConnection("127.0.0.1", HTTP_PORT, timeout=5)
        connection.request("GET", "/events")
    return json.loads(connection.getresponse().read())["events"]


async def test(lab):
    require("openssl")
    certificate, key = make_certificate(lab)
    config = write_config(lab, certificate)
    prompt = [bytes([n, 0xD5 ^ n]) * 80 for n in range(30)]
    (lab.directory / "hello.8").write_bytes(b"".join(prompt))
    proxy_events = ProxyEvents(lab)
    await proxy_events.listen()
    stage = DirectStage(lab, "--config", config, "--http", f"127.0.0.1:{HTTP_PORT}",
                        "--prompt-dir", lab.directory, "-n", proxy_events.name)
    endpoint = Endpoint(lab, PROGRAM, (FIRST_PORT, certificate, key))
    await stage.ready()
    await endpoint.wait_for("listening")
    faults = Faults(stage, proxy_events, prompt)
    await faults.open()
    before, memory_kib = stage.path_of(TEE, "caller")["plane"], stage.relay.resident_kib()
    took = []
    for fault in FAULTS:
        began = asyncio.get_running_loop().time()
        await faults.run(fault)
        took.append(f"{fault.profile} {asyncio.get_running_loop().time() - began:.1f}")
    grown_kib = stage.relay.resident_kib() - memory_kib
    e2e.check(grown_kib < MEMORY_MAX_KIB, f"the relay has grown by {grown_kib} KiB")
    told = notices(stage)
    e2e.check(events_by_http(lab)[:50] == told[:50], "/events tells something else than J events")
    torrent = json.loads(stage.control.send("J voices"))["profiles"]["torrent"]["counters"]
    e2e.check(torrent["frames_down_dropped"] > 0, f"two minutes are no limit: {torrent}")
    figures = await faults.finish()
    stage.close()
    e2e.figures(f"{figures}; first in {before}; the relay grew by {grown_kib} KiB")
    e2e.figures(f"seconds: {', '.join(took)}; torrent: {torrent['messages_down']} messages down, "
                f"{torrent['frames_up']} frames up")


e2e.run(test, limit_s=100)
