"""The usual cast: relay, proxy, a caller and a callee, each public or behind a NAT of its own."""

import asyncio
from dataclasses import dataclass

from case import check
from media import AudioSource, Conversation, MediaPort, VideoSource
from proxy import Proxy
from relay import Relay
from sip import Script, SipPhone, register, sdp

RELAY, PROXY = "192.0.2.10", "192.0.2.20"
RELAY6, PROXY6 = "2001:db8::10", "2001:db8::20"
UDP_CONTROL = f"udp:{RELAY}:22222"


@dataclass
class Host:
    name: str
    address: str
    proxy: str = PROXY


class Stage:
    """Puts the network, the relay and the proxy up."""

    def __init__(self, lab, control=UDP_CONTROL, flags="", local_addresses=("-l", RELAY),
                 options=(), dialogs=False, record=""):
        self.lab = lab
        lab.add_host("relay", RELAY, RELAY6)
        lab.add_host("proxy", PROXY, PROXY6)
        self._seeds = 0
        self.relay = Relay(lab, "relay", control, local_addresses, options=options)
        self._proxy_arguments = ("proxy", [PROXY, PROXY6], control, flags, dialogs, record)
        self.control = None

    async def ready(self):
        self.control = await self.relay.ready()
        self._sockets = self.relay.sockets()
        # After the relay: a proxy that finds no relay does without one for a minute.
        self.proxy = Proxy(self.lab, *self._proxy_arguments)
        await self.proxy.ready()
        return self

    def public_phone(self, name, number):
        address = f"192.0.2.{100 + number}"
        self.lab.add_host(name, address)
        return Host(name, address)

    def ipv6_phone(self, name, number):
        address = f"2001:db8::{100 + number}"
        self.lab.add_host(name, address)
        return Host(name, address, PROXY6)

    def phone_behind_nat(self, name, number, random_ports=True):
        nat = f"nat{number}"
        self.lab.add_nat(nat, f"192.0.2.{40 + number}", f"10.{number}.0.1", random_ports)
        self.lab.add_phone_behind(nat, name, f"10.{number}.0.5")
        return Host(name, f"10.{number}.0.5")

    async def register(self, host, user):
        await register(self.lab, host.name, host.address, user, host.proxy)

    def sip_phone(self, host, script, **options):
        return SipPhone(self.lab, host.name, host.address, script, host.proxy, **options)

    def media_port(self, host, port, source=AudioSource, mux=False):
        self._seeds += 1
        return MediaPort(self.lab, host.name, host.address, port, source(self._seeds), mux)

    def check_session(self, call_id, from_tag):
        if not self.relay.is_peer:  # rtpengine does not know Q
            check(self.control.has_session(call_id, from_tag),
                  f"the relay has no session for {call_id} {from_tag}")

    async def until_gone(self, call_id, from_tag, within_s=10):
        give_up = asyncio.get_running_loop().time() + within_s
        while not self.relay.is_peer and self.control.has_session(call_id, from_tag):
            check(asyncio.get_running_loop().time() < give_up,
                  f"the session of {call_id} is still there after {within_s} s")
            await asyncio.sleep(0.1)

    def close(self):
        """The calls are over: the relay has no session left, and ends well."""
        if not self.relay.is_peer:
            left = self.control.active_sessions()
            check(left == 0, f"{left} sessions are left after the last BYE")
        self.control.close()
        self.relay.stop()

    async def until_sockets_closed(self, within_s=20):
        """Some seconds after the last call: another branch of a fork might still have answered."""
        give_up = asyncio.get_running_loop().time() + within_s
        while (left := self.relay.sockets()) > self._sockets:
            check(asyncio.get_running_loop().time() < give_up,
                  f"{left} descriptors {within_s} s after the last BYE, expected {self._sockets}")
            await asyncio.sleep(0.1)


def calling(body=None):
    """Invites, and is asked before it hangs up."""
    return (Script("alice", "bob").event("inviting", message=False).invite(body or sdp())
            .receive(100, optional=True).receive(180, optional=True)
            .receive(200).ack().event("answered").wait("may hang up", message=False).hang_up())


def answering(body=None, bye_after_ms=0):
    return (Script("bob").receive("INVITE").event("invited").reply("180 Ringing")
            .reply("200 OK", body or sdp(), reliable=True).receive("ACK").be_hung_up(bye_after_ms))


class Pair:
    """Two phones with their SIPp programs, one the caller."""

    def __init__(self, stage, alice_host, bob_host, alice_script=None, bob_script=None, **options):
        self.stage, self.alice_host, self.bob_host = stage, alice_host, bob_host
        self.alice = stage.sip_phone(alice_host, alice_script or calling(), **options)
        self.bob = stage.sip_phone(bob_host, bob_script or answering(), **options)

    async def start(self):
        await self.stage.register(self.bob_host, "bob")
        await self.bob.start()
        await self.alice.start()
        return self

    async def next_call(self):
        """The next call's two ends, and the event of the caller's first INVITE."""
        a = await self.alice.next_call()
        return a, self.bob.call(a.call_id), await a.expect("inviting")

    def converse(self, alice_event, alice_port, bob_event, medium=0, label="call", mux=False,
                 relays=(RELAY, RELAY)):
        """The conversation about one medium, as the SDP in the two events says."""
        source = (AudioSource, VideoSource)[medium]
        caller = self.stage.media_port(self.alice_host, alice_port + 2 * medium, source, mux)
        callee = self.stage.media_port(self.bob_host, bob_event.local_port + 2 * medium, source,
                                       mux)
        aim(caller, alice_event, relays[0], medium)
        aim(callee, bob_event, relays[1], medium)
        return Conversation(caller, callee, label)

    async def plain_call(self, seconds, **options):
        """Set-up, counted audio, BYE, by the scripts above. Returns the Figures."""
        a, b, inviting = await self.next_call()
        invited = await b.expect("invited")
        answered = await a.expect("answered")
        conversation = self.converse(answered, inviting.local_port, invited, **options)
        await conversation.open()
        await conversation.talk(seconds)
        figures = await conversation.finish()
        await a.expect("may hang up")
        a.go()
        return figures

    async def finished(self):
        await self.alice.finished()
        await self.bob.finished()


def aim(port, event, relay_address=RELAY, medium=0):
    """Points a phone where the SDP says, which must be the relay."""
    told = event.media[medium]
    check(told.address == relay_address,
          f"{port.name} was told {told.address}:{told.port} for media, not {relay_address}")
    port.aim(told.address, told.port)
