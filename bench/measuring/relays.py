"""What packets may go through, each in a network namespace of its own between phones A and B."""
import os
import re
import shutil
import socket
import subprocess
import tempfile
import time

from network import PREFIX, CannotRun, Failed, add_namespace, end, inside, ip, run, start
from usage import threads_of

BASE, FLOOR, NAT = "dropped at the door", "bare epoll relay", "nft NAT"
FAST, SLOW = "fast path", "slow path"
RTPENGINE, RTPPROXY = "rtpengine", "rtpproxy"
PEERS = (RTPENGINE, RTPPROXY)
# Phone A of call i has port 10000 + 2i, phone B 20000 more.
FIRST_PHONE_PORT, TO_FAR_PHONE, FIRST_RELAY_PORT = 10000, 20000, 30000
DROP_AT_DOOR = """
    table netdev {table} {{ chain in {{
      type filter hook ingress device "{device}" priority -500
      udp dport 1024-65535 counter drop
    }}
    }}"""


class Site:
    """One way of relaying. `a` faces the phones A, `b` the phones B; without `far` all phones are
    on one side."""

    def __init__(self, name, number, bin_directory, near="sender", far="receiver"):
        self.name, self.bin, self.bridges = name, bin_directory, far is not None
        self.namespace, self.group = f"relay{number}", f"g{number}"
        self.device_a, self.device_b = f"a{number}", f"b{number}"
        self.a, self.phone_a = (f"198.51.100.{4 * number + n}" for n in (1, 2))
        self.b, self.phone_b = (f"203.0.113.{4 * number + n}" for n in (1, 2))
        self.process = None
        add_namespace(self.namespace)
        self.connect(near, self.a, self.phone_a, self.device_a, "in")
        if self.bridges:
            self.connect(far, self.b, self.phone_b, self.device_b, "out")

    def connect(self, phone, ours, theirs, device, there):
        ip(f"link add {there} netns {PREFIX}{self.namespace} type veth "
           f"peer name {device} netns {PREFIX}{phone}")
        ip(f"addr add {ours}/30 dev {there}", self.namespace)
        ip(f"addr add {theirs}/30 dev {device}", phone)
        ip(f"link set {there} up", self.namespace)
        ip(f"link set {device} up", phone)

    def start(self, cpu=None):
        """On one CPU, if told. Raises CannotRun where this machine lacks it."""

    def set_up_calls(self, calls):
        """Returns the flows as (port of A, our port for A, our port for B or 0)."""
        return [(FIRST_PHONE_PORT + 2 * i, FIRST_RELAY_PORT + 2 * i, 0) for i in range(calls)]

    def ready(self, calls):
        """Whether all calls are where they are to be measured."""
        return True

    def threads(self):
        return threads_of(self.process.pid) if self.process else []

    def stop(self):
        if self.process is not None:
            end(self.process)
            self.process = None


class DroppedAtDoor(Site):
    def set_up_calls(self, calls):
        run("nft", "-f", "-", namespace=self.namespace,
            stdin=DROP_AT_DOOR.format(table="door", device="in"))
        return super().set_up_calls(calls)


class Nat(Site):
    def set_up_calls(self, calls):
        flows = super().set_up_calls(calls)
        run("sysctl", "-q", "-w", "net.ipv4.ip_forward=1", namespace=self.namespace)
        forth = ", ".join(f"{ours} : {self.phone_b} . {TO_FAR_PHONE + a}" for a, ours, _ in flows)
        back = ", ".join(f"{TO_FAR_PHONE + a} : {self.b} . {ours}" for a, ours, _ in flows)
        run("nft", "-f", "-", namespace=self.namespace, stdin=f"""
            table ip relaying {{
              map forth {{ type inet_service : ipv4_addr . inet_service; elements = {{ {forth} }} }}
              map back {{ type inet_service : ipv4_addr . inet_service; elements = {{ {back} }} }}
              chain pre {{ type nat hook prerouting priority dstnat
                ip daddr {self.a} dnat ip to udp dport map @forth
              }}
              chain post {{ type nat hook postrouting priority srcnat
                ip daddr {self.phone_b} snat ip to udp dport map @back
              }}
            }}""")
        return flows


class BareRelay(Site):
    """The least that a relay in user space can do: no latch, no checks, no figures."""

    def start(self, cpu=None):
        program = need(os.path.join(self.bin, "epoll_relay"))
        self.process = start(self.namespace, program, cpu=cpu, stdin=subprocess.PIPE,
                             stdout=subprocess.PIPE, text=True)

    def set_up_calls(self, calls):
        flows = [(a, ours, ours) for a, ours, _ in super().set_up_calls(calls)]
        for a, ours, _ in flows:
            self.process.stdin.write(
                f"call {self.a}/{ours} {self.phone_a}/{a} "
                f"{self.b}/{ours} {self.phone_b}/{TO_FAR_PHONE + a}\n")
        self.process.stdin.write("go\n")
        self.process.stdin.flush()
        if self.process.stdout.readline().strip() != "ready":
            raise Failed("epoll_relay ended")
        return flows


class Daemon(Site):
    """A relay with a control socket on `a`; set_up() makes a call and returns our ports."""
    CONTROL_PORT = 22222
    # Two pairs a call, for 10,000 calls on one address.
    MEDIA_PORTS = ("20000", "64999")
    PROTOCOL = "rtpproxy"

    def start(self, cpu=None):
        with inside(self.namespace):
            self.control = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.control.connect((self.a, self.CONTROL_PORT))
        self.control.settimeout(0.25)
        self.cookies = 0
        self.log = tempfile.TemporaryFile("w+")
        self.process = start(self.namespace, *self.command(), cpu=cpu,
                             stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log)
        self.ask(self.PING)

    def stop(self):
        if self.process is not None:
            super().stop()
            self.control.close()
            self.log.close()

    def control_address(self):
        return f"udp:{self.a}:{self.CONTROL_PORT}"

    def ask(self, command):
        self.cookies += 1
        cookie = f"c{self.cookies} "
        for _ in range(40):
            try:
                self.control.send((cookie + command).encode())
                while True:
                    reply = self.control.recv(65536).decode()
                    if reply.startswith(cookie):
                        return reply[len(cookie):].strip()
            except TimeoutError:
                pass
            except ConnectionRefusedError:
                time.sleep(0.1)
            if self.process.poll() is not None:
                self.log.seek(0)
                raise CannotRun(f"{self.name} ended: {self.log.read().strip()[-300:]}")
        raise Failed(f"{self.name}: no answer to {command}")

    def set_up_calls(self, calls):
        flows = []
        for i in range(calls):
            port_a = FIRST_PHONE_PORT + 2 * i
            to_b, to_a = self.set_up(i, port_a, port_a + TO_FAR_PHONE)
            if (to_b[0], to_a[0]) != (self.b, self.a):
                raise Failed(f"{self.name} gave {to_b} and {to_a} instead of {self.b}, {self.a}")
            flows.append((port_a, to_a[1], to_b[1]))
        return flows


class SpeaksRtpproxy(Daemon):
    PING = "V"
    MODIFIERS = ("ie", "ei")

    def addresses(self):
        return ["-l", f"{self.a}/{self.b}" if self.bridges else self.a]

    def set_up(self, i, port_a, port_b):
        replies = [self.ask(command).split() for command in (
            f"U{self.MODIFIERS[0]} call{i} {self.phone_a} {port_a} from{i};1",
            f"L{self.MODIFIERS[1]} call{i} {self.phone_b} {port_b} from{i};1 to{i};1")]
        return [(address, int(port)) for port, address, *_ in replies]


class OurRelay(SpeaksRtpproxy):
    def command(self):
        low, high = self.MEDIA_PORTS
        return [need(os.path.join(self.bin, "rtpp-relay")), "-f", "-F", *self.addresses(),
                "-s", self.control_address(), "-m", low, "-M", high, "-T", "3600", "-W", "3600",
                "--fastpath", "require" if self.name == FAST else "off"]

    def ready(self, calls):
        if self.name == SLOW:
            return True
        return all('"plane":"kernel"' in self.ask(f"J session call{i}").replace(" ", "")
                   for i in range(calls))


class Rtpproxy(SpeaksRtpproxy):
    def command(self):
        low, high = self.MEDIA_PORTS
        return [need("rtpproxy"), "-f", "-F", *self.addresses(), "-s",
                self.control_address(), "-m", low, "-M", high, "-T", "3600"]


class Rtpengine(Daemon):
    PROTOCOL = "ng"
    PING = "d7:command4:pinge"

    def command(self):
        low, high = self.MEDIA_PORTS
        # No kernel module: where there is none, and to compare user space with user space.
        interfaces = [f"--interface=a/{self.a}", f"--interface=b/{self.b}"]
        return [need("rtpengine"), "-f", *interfaces[:2 if self.bridges else 1],
                f"--listen-ng={self.a}:{self.CONTROL_PORT}", f"--port-min={low}",
                f"--port-max={high}", "--table=-1", "--timeout=3600", "--silent-timeout=3600",
                "--log-level=3", "--log-stderr"]

    def set_up(self, i, port_a, port_b):
        ours = []
        for command, address, port, direction in (
                ("offer", self.phone_a, port_a, "ab"), ("answer", self.phone_b, port_b, "ba")):
            sdp = (f"v=0\r\no=- 1 1 IN IP4 {address}\r\ns=-\r\nc=IN IP4 {address}\r\nt=0 0\r\n"
                   f"m=audio {port} RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\na=sendrecv\r\n")
            fields = [("ICE", "remove"), ("call-id", f"call{i}"), ("command", command),
                      ("direction", list(direction)), ("flags", ["trust-address"]),
                      ("from-tag", f"from{i}"), ("replace", ["origin", "session-connection"]),
                      ("sdp", sdp), ("to-tag", f"to{i}")]
            reply = self.ask(bencode(fields[:-1] if command == "offer" else fields))
            found = re.search(r"c=IN IP4 (\S+).*m=audio (\d+)", reply, re.S)
            if not found:
                raise Failed(f"rtpengine answered {reply}")
            ours.append((found[1], int(found[2])))
        return ours


def bencode(fields):
    def text(value):
        if isinstance(value, list):
            return "l" + "".join(text(each) for each in value) + "e"
        return f"{len(value)}:{value}"
    return "d" + "".join(text(key) + text(value) for key, value in fields) + "e"


def need(program):
    if shutil.which(program) is None:
        raise CannotRun(f"{program} is not there")
    return program


KINDS = {BASE: DroppedAtDoor, FLOOR: BareRelay, NAT: Nat, FAST: OurRelay, SLOW: OurRelay,
         RTPENGINE: Rtpengine, RTPPROXY: Rtpproxy}
