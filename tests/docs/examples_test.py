#!/usr/bin/env python3
"""What the documentation shows works as shown: each configuration of the relay and each of its
command lines is given to `rtpp-relay --check`, each of Kamailio's to `kamailio -c`.

An example is a fenced or indented block of README.md, or what stands between .nf and .fi of a man
page. The last path in the line before it is the file it is for. Below /etc/rtpp-relay the examples
find what they name: templates that the same page shows, and a word for each secret.
"""

import json
import os
import pathlib
import pwd
import re
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
RELAY = os.environ.get("RELAY_BINARY", str(ROOT / "build/dev/bin/rtpp-relay"))
PAGES = ["README.md", "man/rtpp-relay.8", "man/rtpp-relay.toml.5", "man/rtpp-voice.7"]
DRIVERS = {"twilio", "doubao v1", "doubao v3", "l16", "openai openai", "openai azure",
           "openai qwen", "openai stepfun", "audiosocket"}
# What a snippet of Kamailio's needs to be a configuration.
KAMAILIO_MODULES = ("tm", "sl", "pv", "textops", "siputils", "rtpproxy")
SKIPPED = 77

failures = []


def check(condition, what):
    if not condition:
        failures.append(what)
    return condition


class Example:
    def __init__(self, page, line, name, text):
        self.where, self.page, self.name, self.text = f"{page}:{line}", page, name, text

    def is_toml(self):
        return re.match(r"(#.*\n|\s)*\[[a-z][\w.-]*\]\n", self.text) is not None

    def is_json(self):
        return self.text.startswith("{") and (self.name or "").endswith(".json")

    def is_kamailio(self):
        parts = re.search(r"^\s*(loadmodule |modparam\(|set_rtp|rtpproxy_|.*_route)", self.text,
                          re.M)
        return parts is not None and "..." not in self.text and not self.is_toml()

    def command_lines(self):
        return [line.strip().removeprefix("$ ") for line in self.text.splitlines()
                if re.match(r"\s*(\$ )?rtpp-relay ", line)]


def blocks_of_markdown(lines):
    """(line number, lines) of each block."""
    block, start, fenced = [], 0, False
    for number, line in enumerate([*lines, ""], 1):
        if line.startswith("```"):
            if fenced:
                yield start, block
                block = []
            fenced = not fenced
        elif fenced or line.startswith("    "):
            start = start if block else number
            block.append(line if fenced else line[4:])
        elif block:
            yield start, block
            block = []


def blocks_of_man(lines):
    block = None
    for number, line in enumerate(lines, 1):
        if line in (".nf", ".EX"):
            block, start = [], number + 1
        elif line in (".fi", ".EE") and block is not None:
            yield start, block
            block = None
        elif block is not None and not line.startswith((".RS", ".RE", ".PP")):
            block.append(plain(line))


def plain(line):
    """A line as the reader of a man page sees it."""
    line = re.sub(r"^\.[A-Z]{1,2} ", "", line)
    return line.replace("\\-", "-").replace("\\(dq", '"').replace("\\e", "\\").replace("\\&", "")


def examples_of(page):
    lines = (ROOT / page).read_text().splitlines()
    blocks = blocks_of_markdown(lines) if page.endswith(".md") else blocks_of_man(lines)
    for start, block in blocks:
        before = next((plain(line) for line in reversed(lines[:start - 1])
                       if line and not re.match(r"```|\.(nf|EX|PP|RS)$", line)), "")
        paths = re.findall(r"/etc/[\w./-]*\w", before)
        yield Example(page, start, paths[-1] if paths else None, "\n".join(block) + "\n")


class Machine:
    """A folder that stands for the root directory of the examples of one page."""

    def __init__(self, folder, examples):
        self.root = pathlib.Path(folder)
        (self.root / "etc/rtpp-relay").mkdir(parents=True)
        self.environment = dict(os.environ)
        for example in examples:
            for name in re.findall(r"\$\{env:(\w+)\}", example.text):
                self.environment[name] = "secret"
            for path in re.findall(r"\$\{file:(/etc/rtpp-relay/[^}]+)\}", example.text):
                self.write(path, "secret\n")
            if example.is_json():
                json.loads(example.text)
                self.write(example.name, example.text)
            elif example.is_toml():
                self.write(example.name or "/etc/rtpp-relay.toml", example.text)

    def write(self, path, text):
        (self.root / path.lstrip("/")).write_text(self.moved(text))
        return self.root / path.lstrip("/")

    def moved(self, text):
        text = re.sub(r"(?<![\w.])/etc/rtpp-relay", f"{self.root}/etc/rtpp-relay", text)
        user = pwd.getpwuid(os.geteuid()).pw_name
        return re.sub(r'(-u |user = ")rtpp-relay(:rtpp-relay)?', rf"\g<1>{user}", text)

    def relay(self, *options):
        done = subprocess.run([RELAY, *options, "--check"], env=self.environment, text=True,
                              capture_output=True, timeout=20)
        return done.returncode, done.stdout + done.stderr


def profiles_of(text):
    """The driver, and the dialect where there are several, of each profile."""
    for section in re.split(r"^\[", text, flags=re.M):
        driver = re.search(r'^driver = "(.*)"', section, re.M)
        dialect = re.search(r'^dialect = "(.*)"', section, re.M)
        default = {"doubao": "v1", "openai": "openai"}.get(driver and driver[1])
        if driver and default:
            yield f"{driver[1]} {dialect[1] if dialect else default}"
        elif driver:
            yield driver[1]


def check_relay_examples(examples, beside=()):
    """Returns how many there were, and of which drivers; `beside` are there without being checked."""
    count, drivers = 0, set()
    with tempfile.TemporaryDirectory() as folder:
        machine = Machine(folder, [*examples, *beside])
        basic = ("-F", "-s", "udp:127.0.0.1:7722")
        for example in examples:
            if example.is_toml():
                path = machine.write("/etc/example.toml", example.text)
                code, said = machine.relay(*basic, "--config", str(path))
                check(code == 0, f"{example.where}: the relay refuses it: {said}")
                wrong = example.text.replace(" = ", "x = ", 1)
                code, said = machine.relay("--config", str(machine.write("/etc/w.toml", wrong)))
                check(code != 0 and "did you mean" in said, f"{example.where}: took {wrong}")
                drivers.update(profiles_of(example.text))
                count += 1
            for line in example.command_lines():
                words = machine.moved(line.split(" #")[0]).split()[1:]
                code, said = machine.relay(*words)
                check(code == 0, f"{example.where}: {line}: {said}")
                count += 1
    return count, drivers


def check_that_missing_files_are_told():
    """What this test relies on: --check reads what a profile names."""
    with tempfile.TemporaryDirectory() as folder:
        for key in ('template_file = "/etc/rtpp-relay/none.json"',
                    'headers = ["X-Api-Key: ${file:/etc/rtpp-relay/none}"]',
                    'headers = ["X-Api-Key: ${env:RTPP_NO_SUCH_VARIABLE}"]'):
            text = f'[voice.x]\ndriver = "doubao"\nurl = "wss://bot.example.net/"\n{key}\n'
            path = pathlib.Path(folder) / "missing.toml"
            path.write_text(text)
            done = subprocess.run([RELAY, "--check", "--config", str(path)], text=True,
                                  capture_output=True, timeout=20)
            check(done.returncode == 1 and str(path) in done.stderr, f"took {key}: {done.stderr}")


def whole_kamailio(text):
    if "request_route {" in text:
        return text
    top = [line for line in text.splitlines() if re.match(r"loadmodule|modparam", line)]
    rest = [line for line in text.splitlines() if line not in top]
    modules = [f'loadmodule "{name}.so"' for name in KAMAILIO_MODULES
               if f'"{name}.so"' not in text]
    inside = [] if re.search(r"^\w*route\[", text, re.M) else rest
    outside = rest if not inside else []
    return "\n".join([*modules, *top, *outside, "request_route {", *inside, "  exit;", "}", ""])


def kamailio_takes(folder, text):
    path = pathlib.Path(folder) / "kamailio.cfg"
    path.write_text(text)
    done = subprocess.run([kamailio_program(), "-c", "-f", str(path)], text=True,
                          capture_output=True, timeout=20)
    return done.returncode == 0, done.stdout + done.stderr


def kamailio_program():
    return shutil.which("kamailio", path=os.environ["PATH"] + ":/usr/sbin")


def check_kamailio_examples(examples):
    count = 0
    with tempfile.TemporaryDirectory() as folder:
        for example in filter(Example.is_kamailio, examples):
            text = whole_kamailio(example.text)
            taken, said = kamailio_takes(folder, text)
            check(taken, f"{example.where}: Kamailio refuses it:\n{said}")
            wrong = re.sub(r"rtpproxy_(\w+)\(", r"rtpproxy_\1x(", text)
            if wrong != text:
                check(not kamailio_takes(folder, wrong)[0], f"{example.where}: took {wrong}")
            count += 1
    return count


def deployed(name):
    return Example(f"tools/deploy/{name}", 1, None, (ROOT / "tools/deploy" / name).read_text())


def main():
    toml = 0
    drivers = set()
    pages = {page: list(examples_of(page)) for page in PAGES}
    everything = [example for examples in pages.values() for example in examples]
    check_that_missing_files_are_told()
    for examples in [*pages.values(), [deployed("rtpp-relay.toml")]]:
        # The page of the options goes without the file that the page of the file shows.
        found, of = check_relay_examples(examples, pages["man/rtpp-relay.toml.5"])
        toml, drivers = toml + found, drivers | of
    check(not DRIVERS - drivers, f"no example of {', '.join(sorted(DRIVERS - drivers))}")
    lines = [len(e.text.splitlines()) for e in pages["README.md"]
             if e.name and (e.is_toml() or e.is_kamailio())]
    check(sum(lines) < 30, f"README's voice call takes {sum(lines)} lines of configuration")
    kamailio = 0
    if kamailio_program():
        kamailio = check_kamailio_examples([*everything, deployed("kamailio.cfg")])
        check(kamailio >= 4, f"only {kamailio} of Kamailio's examples were found")
    print(f"{toml} configurations and command lines of the relay, {kamailio} of Kamailio")
    for failure in failures:
        print("FAILED:", failure)
    if failures:
        sys.exit(1)
    if not kamailio_program():
        print("skipped: Kamailio's examples, since kamailio is not installed")
        sys.exit(SKIPPED)


if __name__ == "__main__":
    main()
