"""The relay under test, as a process on a lab host, and a client of its control protocol."""

import asyncio
import os
import pathlib
import re
import socket
import time

import netlab
from case import CheckFailed, check

REPOSITORY = pathlib.Path(__file__).resolve().parents[3]
PORT_MIN, PORT_MAX = 30000, 31999
SANITIZER_REPORT = re.compile(
    r"ERROR: (Address|Leak)Sanitizer|runtime error|WARNING: ThreadSanitizer")


def relay_binary():
    return os.environ.get("RELAY_BINARY", str(REPOSITORY / "build/dev/bin/rtpp-relay"))


class Control:
    """One client of the datagram or one-shot stream control socket. Blocking; replies are text."""

    def __init__(self, lab, host, url):
        self._lab, self._host, self.url = lab, host, url
        self._cookies = 0
        if url.startswith("udp:"):
            address, port = url[4:].rsplit(":", 1)
            with lab.inside(host):
                self._udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            self._udp.connect((address, int(port)))
        else:
            self._udp, self._path = None, url.split(":", 1)[1]

    def close(self):
        if self._udp:
            self._udp.close()

    def send(self, command, timeout_s=5.0):
        """The reply without cookie and line end. Retransmits once a second, as proxies do."""
        if not self._udp:
            return self._send_one_shot(command, timeout_s)
        self._cookies += 1
        cookie = f"{os.getpid()}_{id(self)}_{self._cookies}"
        give_up = time.monotonic() + timeout_s
        while (left := give_up - time.monotonic()) > 0:
            self._udp.settimeout(min(1.0, left))
            try:
                self._udp.send(f"{cookie} {command}".encode())
                while True:
                    reply = self._udp.recv(65536).decode()
                    if reply.startswith(cookie + " "):
                        return reply[len(cookie) + 1:].rstrip("\n")
            except (socket.timeout, ConnectionRefusedError) as error:
                if isinstance(error, ConnectionRefusedError):
                    time.sleep(0.05)
        raise CheckFailed(f"no reply to '{command}' within {timeout_s} s")

    def _send_one_shot(self, command, timeout_s):
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as stream:
            stream.settimeout(timeout_s)
            stream.connect(self._path)
            stream.send(command.encode())
            return stream.recv(65536).decode().rstrip("\n")

    def active_sessions(self):
        match = re.search(r"active sessions: (\d+)", self.send("Ib"))
        check(match, "the reply to Ib has no line 'active sessions'")
        return int(match[1])

    def has_session(self, call_id, from_tag):
        """Asks with Q, naming the first medium as Kamailio does."""
        return not self.send(f"Q {call_id} {from_tag};1").startswith("E")


class Relay:
    def __init__(self, lab, host, control, local_addresses=("-l", "192.0.2.10"),
                 ports=(PORT_MIN, PORT_MAX), options=()):
        self._lab, self._host, self._ports = lab, host, ports
        self.binary = relay_binary()
        if not os.access(self.binary, os.X_OK):
            raise CheckFailed(f"no relay to test: '{self.binary}' (RELAY_BINARY) is not a program")
        self.is_peer = os.path.basename(self.binary) != "rtpp-relay"
        self.log = lab.directory / "relay.log"
        self.control_urls = [control] if isinstance(control, str) else list(control)
        self.process = lab.start(host, *self._command_line(local_addresses, options),
                                 output=self.log)
        self.control = None

    def _command_line(self, local_addresses, options):
        if self.is_peer:  # rtpengine, to try the tests themselves on another relay
            address = self.control_urls[0].split(":", 1)[1]
            interfaces = [a.lstrip("/") for a in local_addresses[1::2]]
            return [self.binary, "-f", "--table=-1", "--log-stderr", "--log-level=5",
                    f"--listen-udp={address}", f"--port-min={self._ports[0]}",
                    f"--port-max={self._ports[1]}", "--interface=" + ";".join(interfaces)]
        sockets = [word for url in self.control_urls for word in ("-s", url)]
        return [self.binary, "-f", "-F", *local_addresses, *sockets, "-m", self._ports[0],
                "-M", self._ports[1], "-d", "info", *options,
                *os.environ.get("RELAY_OPTIONS", "").split()]

    async def ready(self, timeout_s=20):
        """Waits until it answers V, and returns a control client."""
        give_up = time.monotonic() + timeout_s
        self.control = Control(self._lab, self._host, self.control_urls[0])
        while time.monotonic() < give_up:
            self.check_alive()
            try:
                check(self.control.send("V", 0.5) == "20040107", "V was not answered 20040107")
                return self.control
            except (CheckFailed, OSError):
                await asyncio.sleep(0.05)
        raise CheckFailed(f"the relay does not answer on {self.control_urls[0]}; see {self.log}")

    def check_alive(self):
        code = self.process.poll()
        if code == 1 and "fast path: off" in self._log_tail():
            raise netlab.CannotRun(self._log_tail().strip())
        check(code is None, f"the relay ended with code {code}:\n{self._log_tail()}")

    def stop(self):
        """Ends it and fails if it did not end well or a sanitizer complained."""
        self.check_alive()
        if self.is_peer:
            netlab.end(self.process, 0.5)
            return
        code = netlab.end(self.process, 20)
        text = self.log.read_text(errors="replace")
        report = SANITIZER_REPORT.search(text)
        check(report is None, f"a sanitizer reported:\n{text[report.start():][:3000]}"
              if report else "")
        check(code == 0, f"the relay ended with code {code}:\n{self._log_tail()}")

    def sockets(self):
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def open_files(self, *directories):
        """Those that it has open in these directories."""
        links = (os.path.realpath(link) for link in
                 pathlib.Path(f"/proc/{self.process.pid}/fd").iterdir())
        return [link for link in links if os.path.dirname(link) in map(str, directories)]

    def resident_kib(self):
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+)", status)[1])

    def _log_tail(self):
        return self.log.read_text(errors="replace")[-2000:]
