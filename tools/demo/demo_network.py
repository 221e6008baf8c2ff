"""Hosts as network namespaces, joined by one bridge that plays the Internet.

Runs inside private network and mount namespaces (tools/quickstart makes them), so nothing needs to
be cleaned up and nothing of the machine is touched.
"""

import ctypes
import os
import signal
import socket
import subprocess

_libc = ctypes.CDLL(None, use_errno=True)
_PR_SET_PDEATHSIG = 1


def ip(*words):
    subprocess.run(["ip", *words], check=True)


class Network:
    def __init__(self):
        self._home = os.open("/proc/self/ns/net", os.O_RDONLY)
        ip("link", "add", "internet", "type", "bridge")
        ip("link", "set", "internet", "up")

    def add_host(self, name, *addresses):
        ip("netns", "add", name)
        self._wire(name, "eth0", *addresses)
        ip("-n", name, "link", "set", "lo", "up")
        ip("-n", name, "route", "add", "default", "dev", "eth0")

    def add_behind_nat(self, name, private_address, nat_address):
        """A phone in a private network, and the router that masquerades it to random ports."""
        nat = name + "-nat"
        self.add_host(nat, nat_address)
        ip("netns", "add", name)
        ip("-n", nat, "link", "add", "inside", "type", "veth", "peer", "eth0", "netns", name)
        ip("-n", nat, "addr", "add", private_address.rsplit(".", 1)[0] + ".1/24", "dev", "inside")
        ip("-n", nat, "link", "set", "inside", "up")
        ip("-n", name, "addr", "add", private_address + "/24", "dev", "eth0")
        ip("-n", name, "link", "set", "eth0", "up")
        ip("-n", name, "route", "add", "default", "via", private_address.rsplit(".", 1)[0] + ".1")
        self.run(nat, ["sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward"])
        self.run(nat, ["nft", "add table ip nat; add chain ip nat out "
                       "{ type nat hook postrouting priority 100; }; "
                       "add rule ip nat out oifname eth0 masquerade random"])

    def _wire(self, name, device, *addresses):
        ip("link", "add", f"{name}0"[:15], "type", "veth", "peer", device, "netns", name)
        ip("link", "set", f"{name}0"[:15], "master", "internet", "up")
        for address in addresses:
            length = "/64" if ":" in address else "/24"
            extra = ["nodad"] if ":" in address else []
            ip("-n", name, "addr", "add", address + length, "dev", device, *extra)
        ip("-n", name, "link", "set", device, "up")

    def run(self, name, command):
        subprocess.run(["ip", "netns", "exec", name, *command], check=True)

    def start(self, name, command, **options):
        """It does not outlive this process, however that ends."""
        return subprocess.Popen(["ip", "netns", "exec", name, *command], **options,
                                preexec_fn=lambda: _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM))

    def udp_socket(self, name, address, port):
        """A socket that lives on that host but belongs to this process."""
        there = os.open(f"/run/netns/{name}", os.O_RDONLY)
        try:
            self._enter(there)
            family = socket.AF_INET6 if ":" in address else socket.AF_INET
            udp = socket.socket(family, socket.SOCK_DGRAM)
            udp.setblocking(False)
            udp.bind((address, port))
            return udp
        finally:
            self._enter(self._home)
            os.close(there)

    @staticmethod
    def _enter(descriptor):
        if _libc.setns(descriptor, 0) != 0:
            raise OSError(ctypes.get_errno(), "setns")
