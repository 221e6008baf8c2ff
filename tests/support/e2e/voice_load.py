"""Many calls at once, plain ones and such that speak with an AI endpoint, all on the loopback of
the relay's host: rtpp-load makes the plain ones, voice_load_peers is the others' far ends."""

import asyncio
import json

from case import check
from load import program, run_load
from netlab import end
from relay import Relay

CONTROL = "udp:127.0.0.1:22222"
WS_PORT, FIRST_PHONE_PORT = 8765, 35000
RELAY_PORTS = (36000, 60000)
CONFIG = f"""[voice]
sessions_max = 1000
starts_per_minute = 10000

[voice.load]
driver = "twilio"
url = "ws://127.0.0.1:{WS_PORT}/"
prebuffer_ms = 0
"""


def left_out(counters):
    """Packets and frames of what callers said that the endpoint was not to hear."""
    return sum(counters[name] for name in ("heard_dropped", "heard_late", "frames_up_dropped",
                                           "frames_up_skipped"))


class VoiceLoad:
    def __init__(self, lab):
        self._lab = lab
        lab.add_host("relay", "192.0.2.10")
        config = lab.directory / "relay.toml"
        config.write_text(CONFIG)
        self.relay = Relay(lab, "relay", CONTROL, local_addresses=("-l", "127.0.0.1"),
                           ports=RELAY_PORTS, options=("--config", config))
        self._runs = 0

    async def ready(self):
        self.control = await self.relay.ready()

    def _output(self, name):
        self._runs += 1
        return self._lab.directory / f"{name}-{self._runs}.out"

    async def _until(self, process, output, word, timeout_s):
        """Until `word` is in the output, or the process has ended well if there is none."""
        for _ in range(int(timeout_s / 0.05)):
            ended = process.poll()
            text = output.read_text()
            check(ended in (None, 0), f"{output.name}: ended with {ended}: {text[-600:]}")
            if (word is None and ended == 0) or (word is not None and word in text):
                return text
            self.relay.check_alive()
            await asyncio.sleep(0.05)
        check(False, f"{output.name}: no {word or 'end'} within {timeout_s} s: {text[-600:]}")

    async def plain(self, calls, seconds):
        """The report of rtpp-load."""
        self._runs += 1
        return await run_load(self._lab, self.relay, calls, seconds, "--rate", 200,
                              name=f"plain-{self._runs}")

    def _command(self, command, wanted=None):
        reply = self.control.send(command)
        check(reply == wanted if wanted else reply.split()[0].isdigit() and reply != "0",
              f"'{command}' was answered '{reply}'")
        return int(reply.split()[0])

    async def _until_ended(self, timeout_s=20):
        for _ in range(int(timeout_s / 0.1)):
            if not json.loads(self.control.send("J voices"))["voices"]:
                return
            await asyncio.sleep(0.1)
        check(False, f"there are voice sessions {timeout_s} s after the last call")

    async def voices(self, calls, seconds):
        """Speaking once it returns; the report is what `finish()` of what is returned gives."""
        ports = []
        for n in range(calls):
            phone = FIRST_PHONE_PORT + 4 * n
            self._command(f"Uc0 voice-{n} 127.0.0.1 {phone} from-{n}")
            ports.append(self._command(f"Lc0 voice-{n} 127.0.0.1 {phone + 2} from-{n} to-{n}"))
        (self._lab.directory / "ports").write_text("\n".join(map(str, ports)))
        output = self._output("voices")
        peers = program("RELAY_VOICE_PEERS_BINARY", "voice_load_peers")
        process = self._lab.start(
            "relay", "sh", "-c", f"exec {peers} {WS_PORT} {FIRST_PHONE_PORT} {seconds} < ports",
            output=output)
        await self._until(process, output, "listening", 20)
        for n in range(calls):
            self._command(f"P1 voice-{n} ai:load session from-{n} to-{n}", "0")
        await self._until(process, output, "measuring", 40)

        async def finish():
            text = await self._until(process, output, "}\n", seconds + 30)
            inside = json.loads(self.control.send("J voices"))["profiles"]["load"]
            for n in range(calls):
                self._command(f"D voice-{n} from-{n} to-{n}", "0")
            await self._until_ended()
            end(process)
            return json.loads(text[text.index("{"):]), inside
        return finish
