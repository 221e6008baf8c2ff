#!/usr/bin/env python3
"""Bad input of every kind on the control sockets, while calls are relayed: the answers are
rtpproxy's, the calls lose nothing, and the relay lives."""

import random
import socket
import time

import e2e
from calls import RELAY
from crowd_calls import CrowdCalls
from relay import PORT_MAX, PORT_MIN, Control, Relay

UDP = ("127.0.0.1", 22222)
TCP = ("127.0.0.1", 22223)
CALLS = 4

# Datagrams and their replies; `%` stands for a live call's call-id. (rtpproxy 3.2 answers so.)
DATAGRAMS = [
    ("command without line end", b"c1 V", b"c1 20040107\n"),
    ("tabs and CRLF", b"c2\tV\r\n", b"c2 20040107\n"),
    ("blanks before the cookie", b"  c3 V", b"c3 20040107\n"),
    ("empty datagram", b"", b"E5\n"),
    ("a line end only", b"\n", b"E5\n"),
    ("a cookie only", b"c4", b"c4 E5\n"),
    ("X without a cookie is taken as a cookie", b"X", b"X E5\n"),
    ("NUL in a token", b"c5 V\0", b"c5 E5\n"),
    ("unknown verb", b"c6 K", b"c6 E0\n"),
    ("unknown verb, binary", b"c7 \xff\xfe\x80", b"c7 E0\n"),
    ("VF without argument", b"c8 VF", b"c8 E1\n"),
    ("unknown feature", b"c9 VF 20991231", b"c9 0\n"),
    ("X with an argument", b"c10 X everything", b"c10 E1\n"),
    ("X with a modifier", b"c11 Xa", b"c11 E2\n"),
    ("S with a modifier", b"c12 Sx % from0", b"c12 E2\n"),
    ("subcommand on V", b"c13 V && D", b"c13 E3\n"),
    ("subcommand on D", b"c14 D % from0 && D", b"c14 E3\n"),
    ("empty subcommand", b"c15 U % 192.0.2.101 4000 f && ", b"c15 E5\n"),
    ("24 tokens", b"c16 G" + b" nsess_created" * 23, b"c16 E5\n"),
    ("16 subcommands", b"c17 Q % from0;1" + b" && S" * 16, b"c17 E5\n"),
    ("U with too little", b"c18 U % 192.0.2.101 4000", b"c18 E1\n"),
    ("U with too much", b"c19 U a b c d e f g h i", b"c19 E1\n"),
    ("unknown modifier of U", b"c20 Ugarbage a 192.0.2.101 4000 f", b"c20 E35\n"),
    ("Z without a number", b"c21 Uz a 192.0.2.101 4000 f", b"c21 E13\n"),
    ("two codec lists", b"c22 Uc8c0 a 192.0.2.101 4000 f t", b"c22 E14\n"),
    ("l without address", b"c23 Ul a 192.0.2.101 4000 f", b"c23 E15\n"),
    ("r without address", b"c24 Ur a 192.0.2.101 4000 f", b"c24 E16\n"),
    ("remote port is no number", b"c25 U a 192.0.2.101 http f", b"c25 E37\n"),
    ("remote port is negative", b"c26 U a 192.0.2.101 -1 f", b"c26 E37\n"),
    ("remote address out of range", b"c27 U a 300.1.1.1 4000 f", b"c27 E37\n"),
    ("D with an unknown modifier", b"c28 Dz % from0", b"c28 E8\n"),
    ("D of an unknown call", b"c29 D nobody from0", b"c29 E50\n"),
    ("D of a live call with a wrong tag", b"c30 D % nobody", b"c30 E50\n"),
    ("L of an unknown call", b"c31 L nobody 192.0.2.101 4000 f t", b"c31 0\n"),
    ("Q of an unknown call", b"c32 Q nobody f", b"c32 E50\n"),
    ("Q for an unknown value", b"c33 Q % from0;1 to0;1 garbage", b"c33 E62\n"),
    ("unknown modifier of Q", b"c34 Qg % from0;1", b"c34 E19\n"),
    ("unknown modifier of I", b"c35 Igarbage", b"c35 E18\n"),
    ("unknown counter", b"c36 G nonsense", b"c36 E68\n"),
    ("prompt count is no number", b"c37 Pgarbage % prompt 8 from0;1", b"c37 E17\n"),
    ("prompt that does not exist", b"c38 P1 % no-such-file 8 from0;1", b"c38 E60\n"),
    ("stop of an unknown call", b"c39 S nobody from0", b"c39 E50\n"),
    ("recording of an unknown call", b"c40 R nobody from0", b"c40 E50\n"),
]


def fill(datagram):
    return datagram.replace(b"%", CrowdCalls.call_id(0).encode())


def tcp_connection():
    stream = socket.create_connection(TCP, timeout=5)
    return stream


def known_answers(udp):
    for description, datagram, expected in DATAGRAMS:
        udp.send(fill(datagram))
        reply = udp.recv(65536)
        e2e.check(reply == expected, f"{description}: {datagram[:60]} was answered"
                                     f" {reply[:60]}, expected {expected}")
    return f"{len(DATAGRAMS)} known bad datagrams"


def retransmissions(udp):
    """A cookie is one client's: another client's command with the same cookie is carried out."""
    udp.send(b"same V")
    e2e.check(udp.recv(65536) == b"same 20040107\n", "V")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.connect(UDP)
        other.settimeout(5)
        other.send(b"same VF 20991231")
        reply = other.recv(65536)
        e2e.check(reply == b"same 0\n", f"answered from another client's cache: {reply}")
    return "a colliding cookie"


def rubbish_datagrams(udp):
    """Whatever the answers are, there is at most one each, and none runs a command."""
    dice = random.Random(7)
    pieces = [b"U", b"L", b"D", b"X ", b"&&", b" ", b"\0", b"\xff", b"{", b"[", b"%", b"c0,8",
              b"Z20\0\0\0c", b"-1", b"4294967296", b"..", b"\n", b"\t", b";1", b"r[::1]"]
    for n in range(3000):
        rest = dice.randbytes(dice.randrange(60)) if n % 2 else b"".join(
            dice.choice(pieces) for _ in range(dice.randrange(30)))
        # A leading `z` keeps rubbish from being somebody's valid X.
        udp.send(b"q%d z" % n + rest)
        if n % 50 == 0:
            e2e.check(ping(udp), "no answer among rubbish")
    oversized = [b"k" * 4096 + b" V", b"k" * 60000, b"big V " + b"a " * 30000,
                 b"big Q a b" + b" && S" * 13000, b"big G " + b"nsess_created " * 4000,
                 b"big U " + b"i" * 7000 + b" 192.0.2.101 4000 f " + b"t" * 700,
                 b"big D " + b"i" * 7000 + b" f",
                 b"big U %s 192.0.2.101 4000 from0;1 to0;1" % (b"x" * 20000)]
    for datagram in oversized:
        udp.send(datagram)
        e2e.check(ping(udp), f"no answer after {len(datagram)} bytes that begin {datagram[:12]}")
    return f"3000 datagrams of rubbish and {len(oversized)} of up to 60 KB"


def ping(udp):
    """True when V is answered; answers to what was sent before are read and forgotten."""
    cookie = b"ping%d" % time.monotonic_ns()
    udp.send(cookie + b" V")
    give_up = time.monotonic() + 5
    while time.monotonic() < give_up:
        if udp.recv(65536) == cookie + b" 20040107\n":
            return True
    return False


def bad_streams(udp):
    """Lines that never end, halves of commands, a hundred thousand subcommands on one line."""
    with tcp_connection() as stream:
        stream.sendall(b"V\nV\nkaboom\n\nV")
        stream.shutdown(socket.SHUT_WR)
        e2e.check(read_all(stream) == b"20040107\n20040107\nE0\nE5\n",
                  "pipelined lines, the last without line end")
    # A `z` before each line keeps chance from making a valid X.
    noise = b"z" + random.Random(11).randbytes(200_000).replace(b"\n", b"\nz")
    for flood in (b"Q a b" + b" && S" * 100_000, b"V" * 1_000_000, noise):
        with tcp_connection() as stream:
            try:
                stream.sendall(flood)
                stream.shutdown(socket.SHUT_WR)
                read_all(stream)
            except TimeoutError:
                e2e.check(False, f"a line of {len(flood)} bytes is neither read nor refused")
            except OSError:
                pass  # it was closed on us, as it should
        e2e.check(ping(udp), f"no answer after a line of {len(flood)} bytes")
    return "endless lines"


def read_all(stream):
    out = b""
    while piece := stream.recv(65536):
        out += piece
    return out


def slow_clients(udp):
    """Many connections that send a byte now and then; one that asks and never reads."""
    slow = [tcp_connection() for _ in range(60)]
    greedy = tcp_connection()
    greedy.setblocking(False)
    asked = 0
    for round_number in range(20):
        for stream in slow:
            try:
                stream.send(b"U"[:1])
            except (BrokenPipeError, ConnectionResetError):
                pass
        try:
            while asked < 20_000_000:
                asked += greedy.send(b"I\n" * 20_000)
        except (BlockingIOError, ConnectionResetError, BrokenPipeError):
            pass
        e2e.check(ping(udp), "no answer while others are slow")
        time.sleep(0.05)
    e2e.check(asked < 20_000_000, "a client that never reads may ask without bounds")
    for stream in [*slow, greedy]:
        stream.close()
    return f"60 slow clients, one that never reads ({asked} bytes taken from it)"


def one_shot(path, udp):
    """Clients of the one-shot socket that say nothing, half, or everything at once."""
    silent = []
    for _ in range(20):
        stream = socket.socket(socket.AF_UNIX)
        stream.connect(path)
        silent.append(stream)
    for request, expected in ((b"V", b"20040107\n"), (b"", b""), (b"\n", b"E5\n"),
                              (b"V && D", b"E3\n"), (b"\0" * 100, None)):
        with socket.socket(socket.AF_UNIX) as stream:
            stream.settimeout(5)
            stream.connect(path)
            if request:
                stream.send(request)
            else:
                stream.shutdown(socket.SHUT_WR)
            reply = read_all(stream)
            e2e.check(expected is None or reply == expected,
                      f"{request} on the Unix socket was answered {reply}")
    e2e.check(ping(udp), "no answer while Unix clients are silent")
    for stream in silent:
        stream.close()
    return "one-shot clients"


def commands_to_media_ports(lab):
    """A stranger who can reach media ports only tries the control protocol there."""
    with lab.udp_socket("stranger", "198.51.100.66") as udp:
        for port in range(PORT_MIN, PORT_MAX + 1):
            for command in (b"1 X", b"2 D %s from0" % CrowdCalls.call_id(0).encode()):
                try:
                    udp.sendto(command, (RELAY, port))
                except OSError:
                    pass  # an ICMP error of an earlier one
        time.sleep(0.2)
        answers = 0
        while True:
            try:
                answers += udp.recv(65536) is not None
            except BlockingIOError:
                break
            except OSError:
                pass
    e2e.check(answers == 0, f"media ports answered commands {answers} times")
    return "commands to media ports"


async def test(lab):
    lab.add_host("relay", RELAY)
    lab.add_host("alice", "192.0.2.101")
    lab.add_host("bob", "192.0.2.102")
    lab.add_host("stranger", "198.51.100.66")
    path = f"{lab.directory}/control.sock"
    relay = Relay(lab, "relay", [f"udp:{UDP[0]}:{UDP[1]}", f"tcp:{TCP[0]}:{TCP[1]}",
                                 f"unix:{path}"])
    control = await relay.ready()
    calls = CrowdCalls(lab, control, CALLS, callers=("alice", "192.0.2.101", "192.0.2.101"),
                       callees=("bob", "192.0.2.102", "192.0.2.102"))
    calls.set_up()
    await calls.count_when_all_hear()

    with lab.inside("relay"), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.connect(UDP)
        udp.settimeout(5)
        for attack in (known_answers, retransmissions, rubbish_datagrams, bad_streams,
                       slow_clients, lambda u: one_shot(path, u)):
            started = time.monotonic()
            what = attack(udp)
            e2e.figures(f"{what}: {time.monotonic() - started:.1f} s")
            relay.check_alive()
    e2e.figures(commands_to_media_ports(lab))

    there, back = await calls.finish()
    e2e.figures(f"there: {there}")
    e2e.figures(f"back:  {back}")
    for figures in (there, back):
        e2e.check(figures.lost == figures.strays == figures.duplicated == figures.reordered == 0,
                  f"{figures}")
        e2e.check(figures.sent > CALLS * 50, f"too little was said: {figures}")
    e2e.check(control.active_sessions() == CALLS, "another number of sessions than calls")
    calls.ask_deleted()
    fresh = Control(lab, "relay", f"unix:{path}")
    e2e.check(fresh.active_sessions() == 0, "sessions are left")
    relay.stop()


e2e.run(test)
