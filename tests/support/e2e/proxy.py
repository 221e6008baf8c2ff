"""Kamailio on a lab host, between the phones."""

import asyncio
import glob
import os
import pathlib
import time

from case import CheckFailed, check
from netlab import CannotRun, require

TEMPLATE = pathlib.Path(__file__).with_name("kamailio.cfg.in")
MODULES = "/usr/lib/*/kamailio/modules"


class Proxy:
    def __init__(self, lab, host, addresses, control, flags="", dialogs=False, record=""):
        require("kamailio")
        modules = [d for d in glob.glob(MODULES) if os.path.exists(d + "/rtpproxy.so")]
        if not modules:
            raise CannotRun(f"Kamailio's module rtpproxy is not in {MODULES}")
        self._lab, self._host, self._address = lab, host, addresses[0]
        self.log = lab.directory / "kamailio.log"
        listen = [f"listen={transport}:[{a}]:5060" if ":" in a else f"listen={transport}:{a}:5060"
                  for a in addresses for transport in (("udp", "tcp") if dialogs else ("udp",))]
        run = lab.directory / "kamailio.run"
        run.mkdir()
        config = lab.directory / "kamailio.cfg"
        text = TEMPLATE.read_text()
        for key, value in {"LISTEN": "\n".join(listen), "MODULES": modules[0],
                           "CONTROL": control, "FLAGS": flags, "RUN": str(run),
                           "RECORD": record}.items():
            text = text.replace(f"@{key}@", value)
        config.write_text(text)
        self.process = lab.start(host, "kamailio", "-DD", "-E", "-f", config, "-m", "32", "-M", "4",
                                 "-Y", run, "-w", run, *(["-A", "WITH_DIALOG"] if dialogs else []),
                                 output=self.log)

    async def ready(self, timeout_s=20):
        """Waits until it answers SIP: an OPTIONS without Max-Forwards left gets 483."""
        give_up = time.monotonic() + timeout_s
        probe = self._lab.udp_socket(self._host, self._address)
        address, port = probe.getsockname()
        message = (f"OPTIONS sip:{self._address} SIP/2.0\r\n"
                   f"Via: SIP/2.0/UDP {address}:{port};branch=z9hG4bKready\r\n"
                   f"From: <sip:ready@{address}>;tag=r\r\nTo: <sip:{self._address}>\r\n"
                   f"Call-ID: ready@{address}\r\nCSeq: 1 OPTIONS\r\nMax-Forwards: 0\r\n"
                   "Content-Length: 0\r\n\r\n").encode()
        with probe:
            while time.monotonic() < give_up:
                check(self.process.poll() is None, f"Kamailio ended:\n{self.tail()}")
                try:
                    probe.sendto(message, (self._address, 5060))
                    await asyncio.sleep(0.1)
                    if probe.recv(4096).startswith(b"SIP/2.0 483"):
                        return
                except (BlockingIOError, ConnectionRefusedError):
                    pass
        raise CheckFailed(f"Kamailio does not answer:\n{self.tail()}")

    def tail(self):
        return self.log.read_text(errors="replace")[-2000:]
