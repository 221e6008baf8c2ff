"""Demo calls through rtpp-relay: two phones, one behind a NAT, a stranger who attacks, IPv6, and a
call that talks to a voice bot.

Sends the very commands Kamailio's rtpproxy module would send. Started by tools/quickstart.
"""

import os
import random
import struct
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(__file__))
from demo_network import Network
from demo_phone import Phone, converse
from demo_voice import call_to_the_bot

RELAY, RELAY6, CONTROL_PORT = "192.0.2.10", "2001:db8::10", 7722
PORT_MIN, PORT_MAX = 30000, 30199
SPRAY_PACKETS_PER_TICK = 200
VOICE_PROFILE = """[voice.bot]
driver = "twilio"
url = "ws://127.0.0.1:8765/"
"""


class Relay:
    """The daemon, and a control socket to it that shows all it says."""

    def __init__(self, network, programs, folder):
        config = os.path.join(folder, "relay.toml")
        with open(config, "w", encoding="utf-8") as file:
            file.write(VOICE_PROFILE)
        command = [os.path.join(programs, "rtpp-relay"), "-f", "-F", "-l", RELAY, "-6", f"v6@{RELAY6}",
                   "-s", f"udp:{RELAY}:{CONTROL_PORT}", "-m", str(PORT_MIN), "-M", str(PORT_MAX),
                   "-p", "/run/rtpp-relay.pid", "--config", config]
        print("$ " + " ".join([os.path.basename(command[0]), *command[1:]]))
        self.process = network.start("relay", command)
        self._udp = network.udp_socket("proxy", "192.0.2.20", 40001)
        self._udp.connect((RELAY, CONTROL_PORT))
        self._udp.setblocking(True)
        self._udp.settimeout(1)
        self._cookie = 0

    def command(self, text, show=True):
        self._cookie += 1
        cookie = f"{os.getpid()}_{self._cookie}"
        for _ in range(5):  # as Kamailio does
            try:
                self._udp.send(f"{cookie} {text}".encode())
                reply = self._udp.recv(65536).decode()
                break
            except (TimeoutError, ConnectionRefusedError):
                time.sleep(0.1)
        else:
            sys.exit("The relay does not answer.")
        reply = reply.removeprefix(cookie).strip()
        if show:
            print(f"    {text:<64} → {reply}")
        return reply

    def port_for(self, text):
        """Sends a U or L; the address and port it hands out."""
        words = self.command(text).split()
        if len(words) < 2:
            sys.exit(f"The relay refused: {text}")
        return words[1], int(words[0])


class Stranger:
    """Sprays RTP over the whole port range from changing ports, and counts what comes back."""

    def __init__(self, network):
        self._sockets = [network.udp_socket("stranger", "192.0.2.66", 0) for _ in range(20)]
        self._ports = list(range(PORT_MIN, PORT_MAX + 1))
        self.sent = self.received = 0

    def spray(self, _tick):
        for _ in range(SPRAY_PACKETS_PER_TICK):
            packet = struct.pack("!BBHII", 0x80, 0, random.getrandbits(16), 0,
                                 random.getrandbits(32)) + bytes(160)
            random.choice(self._sockets).sendto(packet, (RELAY, random.choice(self._ports)))
            self.sent += 1
        for udp in self._sockets:
            try:
                while udp.recv(2048):
                    self.received += 1
            except (BlockingIOError, ConnectionRefusedError):
                pass


def table(rows):
    widths = [max(len(str(row[i])) for row in rows) for i in range(len(rows[0]))]
    for number, row in enumerate(rows):
        print("    " + "  ".join(str(cell).ljust(width) for cell, width in zip(row, widths)))
        if number == 0:
            print("    " + "  ".join("-" * width for width in widths))


def report(phones, folder):
    """The table of what each heard; true when nothing was lost or changed."""
    rows = [("who", "sent", "heard", "lost", "identical", "jitter", "strangers heard", "saved as")]
    well = True
    for phone, peer in (phones, phones[::-1]):
        heard, lost, identical = phone.result(peer)
        path = os.path.join(folder, phone.name + "-heard.wav")
        phone.save(path)
        rows.append((phone.name, phone.sent, heard, lost, identical, f"{phone.jitter_ms:.1f} ms",
                     phone.strange, path))
        well = well and lost == 0 and identical == heard == peer.sent and phone.strange == 0
    table(rows)
    return well


def call_behind_nat(network, relay, programs, folder):
    print("\nCall 1: alice, on the open Internet, calls bob behind a NAT that picks random ports,")
    print("        while a stranger sprays RTP over the relay's whole port range.")
    alice = Phone("alice", network.udp_socket("alice", "192.0.2.101", 40000),
                  "Hello Bob, this is Alice. Can you hear me well? I can hear you.", "en")
    bob = Phone("bob", network.udp_socket("bob", "10.0.0.5", 50000),
                "Hi Alice. Yes, loud and clear, although there is a network between us.", "en-us")
    # The INVITE came from alice; bob's 200 came through his NAT: the proxy says where SIP came from.
    bob_hears_at = relay.port_for("Uc0 call-1@alice.example 192.0.2.101 40000 tagA;1")
    alice_hears_at = relay.port_for("Lc0 call-1@alice.example 192.0.2.30 50000 tagA;1 tagB;1")
    alice.remote, bob.remote = alice_hears_at, bob_hears_at
    stranger = Stranger(network)
    # A phone behind a NAT is reached once it has spoken; its first word opens the way.
    bob.speak_packet()
    time.sleep(0.05)
    shown = []

    def tick(n):
        stranger.spray(n)
        if n == 100:
            shown.append(subprocess.run(
                ["ip", "netns", "exec", "proxy", os.path.join(programs, "rtpp-ctl"), "-s",
                 f"udp:{RELAY}:{CONTROL_PORT}", "sessions"], capture_output=True, text=True).stdout)

    converse(alice, bob, tick)
    relay.command("Qv call-1@alice.example tagA;1 tagB;1 npkts_ina npkts_ino nrelayed rtpa_nlost")
    relay.command("D call-1@alice.example tagA tagB")
    print("\n    rtpp-ctl sessions, in mid-call:")
    print("".join("    " + line + "\n" for line in "".join(shown).splitlines()))
    well = report((alice, bob), folder)
    print(f"    The stranger sent {stranger.sent} packets and received {stranger.received}.")
    return well and stranger.received == 0


def call_across_families(network, relay, folder):
    print("\nCall 2: carol, on IPv6, calls dave, on IPv4. The relay bridges.")
    carol = Phone("carol", network.udp_socket("carol", "2001:db8::103", 40000),
                  "Hello Dave, I only speak version six.", "en")
    dave = Phone("dave", network.udp_socket("dave", "192.0.2.104", 50000),
                 "That is all right Carol. I only speak version four.", "en-us")
    dave_hears_at = relay.port_for(
        f"U6l{RELAY}c0 call-2@carol.example 2001:db8::103 40000 tagC;1")
    carol_hears_at = relay.port_for(
        "Ll{v6}c0 call-2@carol.example 192.0.2.104 50000 tagC;1 tagD;1")
    carol.remote, dave.remote = carol_hears_at, dave_hears_at
    converse(carol, dave)
    relay.command("D call-2@carol.example tagC tagD")
    return report((carol, dave), folder)


def main():
    programs = os.path.abspath(sys.argv[1])
    folder = os.path.join("build", "demo")
    os.makedirs(folder, exist_ok=True)
    network = Network()
    network.add_host("relay", RELAY, RELAY6)
    network.add_host("proxy", "192.0.2.20")
    network.add_host("alice", "192.0.2.101")
    network.add_behind_nat("bob", "10.0.0.5", "192.0.2.30")
    network.add_host("carol", "2001:db8::103")
    network.add_host("dave", "192.0.2.104")
    network.add_host("stranger", "192.0.2.66")
    network.add_host("erin", "192.0.2.105")
    network.add_host("frank", "192.0.2.106")
    relay = Relay(network, programs, folder)
    print("\nThe proxy asks the relay what it can do:")
    relay.command("V")
    relay.command("VF 20050322")
    well = call_behind_nat(network, relay, programs, folder)
    well = call_across_families(network, relay, folder) and well
    well = call_to_the_bot(network, relay, folder) and well
    relay.process.terminate()
    well = relay.process.wait(10) == 0 and well
    print("\nAll was heard, unchanged, and by the right party only." if well
          else "\nSomething was lost or changed: see the tables above.")
    print(f"""
To put the relay behind Kamailio:
    {os.path.relpath(programs)}/rtpp-relay -l YOUR-IP -s udp:127.0.0.1:7722 -F
    modparam("rtpproxy", "rtpproxy_sock", "udp:127.0.0.1:7722")     # in kamailio.cfg
then look at it with  {os.path.relpath(programs)}/rtpp-ctl -s udp:127.0.0.1:7722 sessions""")
    sys.exit(0 if well else 1)


if __name__ == "__main__":
    main()
