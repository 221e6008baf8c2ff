"""A relay that the test commands by itself: for what a proxy cannot be brought to ask for, or not
at the right moment."""

import json

from calls import RELAY, UDP_CONTROL
from case import check
from media import AudioSource, MediaPort
from relay import Relay

MEDIA_PORT = 40000


class DirectStage:
    def __init__(self, lab, *options):
        self._lab = lab
        lab.add_host("relay", RELAY)
        self.relay = Relay(lab, "relay", UDP_CONTROL, options=options)
        self.control, self._parties = None, []

    async def ready(self):
        self.control = await self.relay.ready()
        return self

    def party(self, name, source=AudioSource):
        """A public host with one medium, which every command describes with its `where()`."""
        number = len(self._parties) + 1
        address = f"192.0.2.{100 + number}"
        self._lab.add_host(name, address)
        port = MediaPort(self._lab, name, address, MEDIA_PORT, source(number))
        self._parties.append(port)
        return port

    def where(self, party):
        return f"192.0.2.{101 + self._parties.index(party)} {MEDIA_PORT}"

    def ask(self, command, parts=1):
        """The ports in the reply, one of each part; anything else fails the test."""
        words = self.control.send(command).split(" && ")
        ports = [word.split()[0] for word in words if word.endswith(f" {RELAY}")]
        check(len(words) == len(ports) == parts,
              f"'{command}' was answered '{' && '.join(words)}', expected {parts} ports")
        return [int(port) for port in ports]

    def call(self, call_id, caller, callee, offer="U", answer="L", offered="", answered="",
             codecs="8,101"):
        """Offer and answer; both parties are aimed at the ports. `offered` and `answered` go
        behind the command."""
        for_callee, = self.ask(f"{offer}c{codecs} {call_id} {self.where(caller)} fromA;1{offered}")
        for_caller, = self.ask(
            f"{answer}c{codecs} {call_id} {self.where(callee)} fromA;1 toB;1{answered}")
        callee.aim(RELAY, for_callee)
        caller.aim(RELAY, for_caller)

    def path_of(self, call_id, party):
        """The way of the packets that this party ("caller", "callee") sends."""
        return json.loads(self.control.send(f"J session {call_id}"))["sessions"][0][party]["path"]

    def end(self, call_id):
        reply = self.control.send(f"D {call_id} fromA")
        check(reply == "0", f"the delete was answered '{reply}'")

    def close(self):
        for party in self._parties:
            party.close()
        left = self.control.active_sessions()
        check(left == 0, f"{left} sessions are left")
        self.control.close()
        self.relay.stop()
