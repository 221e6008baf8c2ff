"""A private network made of namespaces: every host of a test is one, all hang on one bridge.

Public hosts have 192.0.2.x and 2001:db8::x, strangers 198.51.100.x; a phone behind a NAT has
10.N.0.x and reaches the rest through a namespace whose nftables masquerade it. Nothing touches the
machine's own network, and everything goes away with the Lab, also after a signal or an exception.
"""

import contextlib
import ctypes
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import tempfile

PREFIX = "relay-e2e"
CLONE_NEWNET = 0x40000000
PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)


class CannotRun(Exception):
    """The test cannot run here (no root, a program is missing); the text says why."""


def _command(*arguments, stdin=None):
    done = subprocess.run(arguments, input=stdin, text=True, capture_output=True)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(arguments)}: {done.stderr.strip()}")
    return done.stdout


def require(*programs):
    if os.geteuid() != 0:
        raise CannotRun("network namespaces need root; this is uid %d" % os.geteuid())
    for program in programs:
        if shutil.which(program, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin") is None:
            raise CannotRun(f"the program '{program}' is not installed")


def _end_with_parent():
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


class Lab:
    """Context manager. Hosts are named by a short word, which is also the namespace's suffix."""

    def __init__(self):
        require("ip", "nft")
        self._prefix = f"{PREFIX}{os.getpid()}-"
        self._home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        self._hosts = []
        self._processes = []
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix=PREFIX + "-"))
        self.directory.chmod(0o755)
        self.keep_directory = False

    def __enter__(self):
        _remove_left_overs()
        try:
            self._add_namespace("wire")
            self._ip("wire", "link add br0 type bridge forward_delay 0 mcast_snooping 0",
                     "link set br0 up")
        except BaseException as error:
            self.close()
            if isinstance(error, RuntimeError):
                raise CannotRun(f"no network namespaces here: {error}") from error
            raise
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        for process in reversed(self._processes):
            end(process)
        for host in reversed(self._hosts):
            subprocess.run(["ip", "netns", "del", self._prefix + host], capture_output=True)
        self._hosts.clear()
        if not self.keep_directory:
            shutil.rmtree(self.directory, ignore_errors=True)

    # Hosts.

    def add_host(self, host, *addresses):
        """A host on the shared wire, e.g. add_host("relay", "192.0.2.10", "2001:db8::10")."""
        self._add_namespace(host)
        self._ip("wire", f"link add {host} type veth peer name eth0 netns {self._prefix}{host}",
                 f"link set {host} master br0 up")
        self._configure(host, "eth0", addresses)
        # Everybody is on this wire, the strangers' network too.
        self._ip(host, "route add 198.51.100.0/24 dev eth0", "route add 192.0.2.0/24 dev eth0",
                 tolerate="File exists")
        return host

    def add_nat(self, nat, public, inside, random_ports=False):
        """A NAT with address `public`; phones behind it get addresses of `inside`'s /24."""
        self.add_host(nat, public)
        self._ip(nat, "link add br1 type bridge forward_delay 0", f"addr add {inside}/24 dev br1",
                 "link set br1 up")
        self.write_sysctl(nat, "net/ipv4/ip_forward", "1")
        how = "masquerade random" if random_ports else "masquerade"
        try:
            self.run(nat, "nft", "-f", "-", stdin=f"""
                table ip nat {{
                  chain post {{
                    type nat hook postrouting priority srcnat;
                    ip saddr {inside}/24 oifname "eth0" {how}
                  }}
                }}
                """)
        except RuntimeError as error:
            raise CannotRun(f"this kernel cannot masquerade: {error}") from error
        return nat

    def add_phone_behind(self, nat, host, address):
        self._add_namespace(host)
        self._ip(nat, f"link add {host} type veth peer name eth0 netns {self._prefix}{host}",
                 f"link set {host} master br1 up")
        self._configure(host, "eth0", [address])
        gateway = address.rsplit(".", 1)[0] + ".1"
        self._ip(host, f"route add default via {gateway}")
        return host

    def write_sysctl(self, host, name, value):
        self.run(host, "sh", "-c", f"echo {value} > /proc/sys/{name}")

    # Being there.

    @contextlib.contextmanager
    def inside(self, host):
        """The calling thread is in the host's network while the block runs."""
        there = os.open(f"/run/netns/{self._prefix}{host}", os.O_RDONLY)
        try:
            _set_namespace(there)
            yield
        finally:
            _set_namespace(self._home)
            os.close(there)

    def udp_socket(self, host, address, port=0, receive_buffer=4 << 20):
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        with self.inside(host):
            udp = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
            # The test process may be scheduled late on a busy machine: that is not packet loss.
            udp.setsockopt(socket.SOL_SOCKET, 33, receive_buffer)  # SO_RCVBUFFORCE
            udp.bind((address, port))
        return udp

    def run(self, host, *arguments, stdin=None):
        return _command("ip", "netns", "exec", self._prefix + host, *arguments, stdin=stdin)

    def start(self, host, *arguments, output, environment=None):
        """A program running on `host`, its output in the file `output`; ended with the lab."""
        with open(output, "ab") as sink:
            process = subprocess.Popen(
                ["ip", "netns", "exec", self._prefix + host, *map(str, arguments)],
                stdin=subprocess.DEVNULL, stdout=sink, stderr=subprocess.STDOUT,
                env={**os.environ, **(environment or {})}, cwd=self.directory,
                preexec_fn=_end_with_parent)
        self._processes.append(process)
        return process

    def _add_namespace(self, host):
        _command("ip", "netns", "add", self._prefix + host)
        self._hosts.append(host)
        self._ip(host, "link set lo up")

    def _configure(self, host, device, addresses):
        lines = [f"addr add {a}/64 dev {device} nodad" if ":" in a else
                 f"addr add {a}/24 dev {device}" for a in addresses]
        self._ip(host, *lines, f"link set {device} up")

    def _ip(self, host, *lines, tolerate=None):
        for line in lines:
            try:
                _command("ip", "-n", self._prefix + host, *line.split())
            except RuntimeError as error:
                if tolerate is None or tolerate not in str(error):
                    raise


def _set_namespace(descriptor):
    if _libc.setns(descriptor, CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "setns")


def end(process, patience=5):
    """Ends a process of ours and returns its exit code."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(patience)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    return process.returncode


def _remove_left_overs():
    """Namespaces of an earlier run that was killed before it could clean up."""
    for name in os.listdir("/run/netns") if os.path.isdir("/run/netns") else []:
        match = re.match(PREFIX + r"(\d+)-", name)
        if match and not os.path.exists(f"/proc/{match[1]}"):
            subprocess.run(["ip", "netns", "del", name], capture_output=True)
