"""Two phones and a relay in network namespaces on veth pairs, and fastpath_tool in the relay's."""

import contextlib
import ctypes
import fcntl
import os
import select
import signal
import socket
import struct
import subprocess
import sys

TOOL = sys.argv[1] if len(sys.argv) > 1 else "fastpath_tool"
PREFIX = f"relay-fp{os.getpid()}-"
INSTANCE = f"relay-fp{os.getpid()}"
CLONE_NEWNET = 0x40000000
SO_RCVMARK = 75
SIOCETHTOOL, ETHTOOL_STXCSUM = 0x8946, 0x17
LIBC = ctypes.CDLL(None, use_errno=True)
HOME = os.open("/proc/thread-self/ns/net", os.O_RDONLY)

RELAY_A, PHONE_A, RELAY_B, PHONE_B = ("198.51.100.1", "198.51.100.2", "203.0.113.1", "203.0.113.2")
RELAY_C, PHONE_C = "192.0.2.1", "192.0.2.2"
RELAY_A6, PHONE_A6, RELAY_B6, PHONE_B6 = (
    "2001:db8:a::1", "2001:db8:a::2", "2001:db8:b::1", "2001:db8:b::2")
STUN = bytes([0, 1, 0, 0, 0x21, 0x12, 0xA4, 0x42]) + bytes(12)


def skip(why):
    print(f"SKIPPED: the fast path cannot be tested here: {why}", file=sys.stderr)
    sys.exit(77)


def check(condition, what):
    if not condition:
        raise AssertionError(what)


def ip(words, namespace=None):
    where = ["-n", PREFIX + namespace] if namespace else []
    done = subprocess.run(["ip", *where, *words.split()], capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"ip {words}: {done.stderr.strip()}")


def enter(descriptor):
    if LIBC.setns(descriptor, CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "setns")


@contextlib.contextmanager
def inside(namespace):
    descriptor = os.open(f"/run/netns/{PREFIX}{namespace}", os.O_RDONLY)
    enter(descriptor)
    try:
        yield
    finally:
        enter(HOME)
        os.close(descriptor)


def udp(namespace, address, port):
    """A socket stays in the namespace it was made in."""
    with inside(namespace):
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        made = socket.socket(family, socket.SOCK_DGRAM)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        made.bind((address, port))
        return made


def set_checksum_offload(namespace, device, on):
    """What `ethtool -K DEVICE tx` does: whether the stack leaves checksums to the device."""
    value = ctypes.create_string_buffer(struct.pack("II", ETHTOOL_STXCSUM, on))
    request = struct.pack("16sP", device.encode(), ctypes.addressof(value)).ljust(40, b"\0")
    with inside(namespace), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        fcntl.ioctl(sock, SIOCETHTOOL, request)


def rtp(sequence, ssrc=1, payload=160):
    head = bytes([0x80, 0]) + sequence.to_bytes(2, "big") + (sequence * 160).to_bytes(4, "big")
    return head + ssrc.to_bytes(4, "big") + bytes(payload)


def receive(sock, count, timeout_s=5.0):
    """Up to `count` datagrams as (bytes, source); fewer when none comes for `timeout_s`."""
    got = []
    while len(got) < count:
        if not select.select([sock], [], [], timeout_s)[0]:
            break
        data, source = sock.recvfrom(4096)
        got.append((data, source[:2]))
    return got


def nothing_for(sock, wait_s=0.2):
    return receive(sock, 1, wait_s) == []


def until(attempt):
    """Tries up to 50 times, until the last thing `attempt` returns is something."""
    return any(attempt(n)[-1] for n in range(50))


def sequences(packets):
    return [int.from_bytes(data[2:4], "big") for data, _ in packets]


class Tool:
    def __init__(self, mode, *listen):
        def to_relay():
            enter(self._namespace)
            LIBC.prctl(1, signal.SIGKILL)

        self._namespace = os.open(f"/run/netns/{PREFIX}relay", os.O_RDONLY)
        self.process = subprocess.Popen(
            [TOOL, INSTANCE, mode, *listen], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True, bufsize=1, preexec_fn=to_relay)
        self.adopted = []
        self.status = self._line()
        while self.status.startswith("adopted"):
            self.adopted.append(self.status)
            self.status = self._line()

    def _line(self):
        line = self.process.stdout.readline().strip()
        if not line:
            raise RuntimeError(f"fastpath_tool ended: {self.process.stderr.read().strip()}")
        return line

    def ask(self, command):
        self.process.stdin.write(command + "\n")
        line = self._line()
        check(not line.startswith("error"), f"{command}: {line}")
        return line

    def install(self, *words):
        return int(self.ask("install " + " ".join(words)).split()[1])

    def stats(self, flow, command="stats"):
        return {k: int(v) for k, v in (w.split("=") for w in
                                       self.ask(f"{command} {flow}").split())}

    def kill(self):
        self.process.kill()
        self.process.wait()

    def shut_down(self):
        self.ask("shutdown")
        self.process.stdin.close()
        self.process.wait()


def have_bpffs():
    """Some machines do not mount it; then we do, for ourselves."""
    if any(line.split()[1:3] == ["/sys/fs/bpf", "bpf"] for line in open("/proc/mounts")):
        return
    private, recursive, new_mounts = 1 << 18, 1 << 14, 0x00020000
    if (LIBC.unshare(new_mounts) or LIBC.mount(None, b"/", None, private | recursive, None) or
            LIBC.mount(b"bpf", b"/sys/fs/bpf", b"bpf", 0, None)):
        skip("/sys/fs/bpf is not a bpf file system, and cannot be made one")


def build_network():
    for name in ("relay", "a", "b"):
        ip(f"netns add {PREFIX}{name}")
        ip("link set lo up", name)
    for phone, relay4, phone4, relay6, phone6 in (
            ("a", RELAY_A, PHONE_A, RELAY_A6, PHONE_A6),
            ("b", RELAY_B, PHONE_B, RELAY_B6, PHONE_B6)):
        ip(f"link add r{phone} netns {PREFIX}relay type veth peer name eth0 netns {PREFIX}{phone}")
        ip(f"addr add {relay4}/24 dev r{phone}", "relay")
        ip(f"addr add {relay6}/64 dev r{phone} nodad", "relay")
        ip(f"addr add {phone4}/24 dev eth0", phone)
        ip(f"addr add {phone6}/64 dev eth0 nodad", phone)
        ip(f"link set r{phone} up", "relay")
        ip("link set eth0 up", phone)


def remove_network():
    for name in ("a", "b", "relay"):
        subprocess.run(["ip", "netns", "del", PREFIX + name], capture_output=True)
    folder = f"/sys/fs/bpf/{INSTANCE}"
    if os.path.isdir(folder):
        for name in os.listdir(folder):
            os.unlink(f"{folder}/{name}")
        os.rmdir(folder)


def new_link():
    """A VLAN on the link between relay and a; another veth pair where the kernel has no VLANs."""
    try:
        ip("link add link ra name ra.10 type vlan id 10", "relay")
        ip("link add link eth0 name eth0.10 type vlan id 10", "a")
        return "ra.10", "eth0.10"
    except RuntimeError as error:
        print(f"  no VLAN here ({error}), a veth pair instead")
        ip(f"link add rc netns {PREFIX}relay type veth peer name eth1 netns {PREFIX}a")
        return "rc", "eth1"
