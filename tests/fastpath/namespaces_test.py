#!/usr/bin/env python3
"""The fast path between two phones: three network namespaces on veth pairs, flows installed by
fastpath_tool. Exit code 77 without the privileges it needs."""

import os
import socket
import struct
import sys
import threading
import time

sys.dont_write_bytecode = True
from lab import (
    INSTANCE, PHONE_A, PHONE_A6, PHONE_B, PHONE_B6, PHONE_C, RELAY_A, RELAY_A6, RELAY_B,
    RELAY_B6, RELAY_C, SO_RCVMARK, STUN, Tool, build_network, check, have_bpffs, inside, ip,
    new_link, nothing_for, receive, remove_network, rtp, sequences, set_checksum_offload, skip,
    udp, until)  # noqa: E402

TAKE_OVERS = 20


class Call:
    """Phone a, phone b, the relay's two sockets between them, and the two flows."""

    def __init__(self, tool, relay_a, phone_a, relay_b, phone_b, port=35000):
        self.tool = tool
        self.a, self.b = udp("a", phone_a, 40000), udp("b", phone_b, 50000)
        self.to_a, self.to_b = (relay_a, port), (relay_b, port + 2)
        self.relay_a, self.relay_b = udp("relay", *self.to_a), udp("relay", *self.to_b)
        self.forth = f"{relay_a}/{port} {phone_a}/40000 {relay_b}/{port + 2} {phone_b}/50000"
        self.back = f"{relay_b}/{port + 2} {phone_b}/50000 {relay_a}/{port} {phone_a}/40000"
        self.flow_forth, self.flow_back = tool.install(self.forth), tool.install(self.back)

    def talk(self, first, count):
        """Both send `count` packets; each must hear all of the other's, in order, from us."""
        heard_a, heard_b = [], []
        for sequence in range(first, first + count):
            self.a.sendto(rtp(sequence), self.to_a)
            self.b.sendto(rtp(sequence), self.to_b)
            heard_b += receive(self.b, 1)
            heard_a += receive(self.a, 1)
        expected = list(range(first, first + count))
        check(sequences(heard_b) == expected, f"b heard {len(heard_b)} of {count}, or out of order")
        check(sequences(heard_a) == expected, f"a heard {len(heard_a)} of {count}, or out of order")
        check({source for _, source in heard_b} == {self.to_b}, "b heard another source than us")
        check({source for _, source in heard_a} == {self.to_a}, "a heard another source than us")

    def close(self):
        for sock in (self.a, self.b, self.relay_a, self.relay_b):
            sock.close()


def test_call(tool, mark):
    call = Call(tool, RELAY_A, PHONE_A, RELAY_B, PHONE_B)
    call.talk(1, 1000)
    check(nothing_for(call.relay_a) and nothing_for(call.relay_b), "a relayed packet came up")
    stats = tool.stats(call.flow_forth)
    check(stats["forwarded"] == stats["received"] == stats["unique"] == 1000, f"counted {stats}")

    stranger = udp("a", PHONE_A, 40001)
    for sequence in range(1000):
        stranger.sendto(rtp(sequence, ssrc=666), call.to_a)
    check(nothing_for(call.b), "a stranger's packet was relayed")
    stats = tool.stats(call.flow_forth)
    refused = stats["drop_source_refused"] + stats["punt_other_source"]
    check(stats["received"] == 2000 and refused == 1000, f"counted {stats}")
    punted = receive(call.relay_a, 1000, 0.2)
    check(len(punted) == stats["punt_other_source"] < 500, f"{len(punted)} punted of {stats}")

    call.a.sendto(STUN, call.to_a)
    check(receive(call.relay_a, 1) == [(STUN, (PHONE_A, 40000))], "STUN did not reach the socket")

    tool.ask(f"update {call.flow_forth} {call.forth} tee")
    with_mark = call.relay_a
    with_mark.setsockopt(socket.SOL_SOCKET, SO_RCVMARK, 1)
    for sequence in range(1001, 1101):
        call.a.sendto(rtp(sequence), call.to_a)
        check(sequences(receive(call.b, 1)) == [sequence], "a teed packet was not relayed")
        data, control, _, source = with_mark.recvmsg(4096, 256)
        check(data == rtp(sequence) and source == (PHONE_A, 40000), "the copy differs")
        marks = [int.from_bytes(value[:4], sys.byteorder) for _, _, value in control]
        check(marks == [mark], f"the copy has mark {marks}, not {mark}")
    tool.ask(f"update {call.flow_forth} {call.forth}")
    call.talk(1101, 50)
    stats = tool.stats(call.flow_forth, "remove")
    check(stats["teed"] == 100 and stats["lost"] == 0, f"counted {stats}")
    call.a.sendto(rtp(1151), call.to_a)
    check(sequences(receive(call.relay_a, 1)) == [1151], "after remove the socket has the flow")
    tool.stats(call.flow_back, "remove")
    call.close()


def test_ipv6(tool, _):
    call = Call(tool, RELAY_A6, PHONE_A6, RELAY_B6, PHONE_B6)
    call.talk(65500, 30)
    stats = tool.stats(call.flow_forth, "remove")
    check(stats["forwarded"] == 30, f"counted {stats}")
    tool.stats(call.flow_back, "remove")
    call.close()


def test_without_root(tool, _, kind="tcx"):
    """As the daemon does with -u. The pins are root's: the successor is."""
    if kind == "clsact":
        tool.shut_down()
        tool = Tool("clsact", RELAY_A, RELAY_B)
    tool.ask("become 65534")
    call = Call(tool, RELAY_A, PHONE_A, RELAY_B, PHONE_B)
    call.talk(1, 20)
    tool.ask(f"update {call.flow_back} {call.back} tos=184")
    ip("addr add 192.0.2.99/32 dev lo", "relay")
    time.sleep(1.1)  # changes are looked at once a second, and must not cost an attachment
    before, status = tool.status, tool.ask("status")
    check(status.startswith(before.split(";")[0]), status)
    call.talk(21, 20)
    stats = tool.stats(call.flow_forth, "remove")
    check(stats["forwarded"] == 40 == stats["unique"], f"counted {stats}")
    tool.stats(call.flow_back, "remove")
    call.close()
    tool.kill()
    return Tool("fresh", RELAY_A, RELAY_B, RELAY_A6, RELAY_B6, RELAY_C)


def test_without_root_by_clsact(tool, mark):
    ip("addr del 192.0.2.99/32 dev lo", "relay")
    return test_without_root(tool, mark, "clsact")


def test_checksum_offloads(tool, _):
    """Without offload at the phone its packets come with whole checksums; without offload on our
    way out the stack completes what we have rewritten. The receiver verifies either way."""
    for addresses in ((RELAY_A, PHONE_A, RELAY_B, PHONE_B),
                      (RELAY_A6, PHONE_A6, RELAY_B6, PHONE_B6)):
        call = Call(tool, *addresses)
        for at_phones in (True, False):
            for at_relay in (True, False):
                for phone, ours in (("a", "ra"), ("b", "rb")):
                    set_checksum_offload(phone, "eth0", at_phones)
                    set_checksum_offload("relay", ours, at_relay)
                call.talk(1, 20)
        for phone, ours in (("a", "ra"), ("b", "rb")):
            set_checksum_offload(phone, "eth0", True)
            set_checksum_offload("relay", ours, True)
        tool.stats(call.flow_forth, "remove")
        tool.stats(call.flow_back, "remove")
        call.close()


def test_parties_on_this_host(tool, _):
    """A party on the relay's own host, once as destination and once as source; then two flows that
    feed each other, which TTL must end."""
    for relay_a, phone_a, relay_b in ((RELAY_A, PHONE_A, RELAY_B), (RELAY_A6, PHONE_A6, RELAY_B6)):
        phone, local = udp("a", phone_a, 40000), udp("relay", relay_a, 45000)
        forth = tool.install(f"{relay_a}/35000 {phone_a}/40000 {relay_b}/35002 {relay_a}/45000")
        back = tool.install(f"{relay_b}/35002 {relay_a}/45000 {relay_a}/35000 {phone_a}/40000")
        for sequence in range(100):
            phone.sendto(rtp(sequence), (relay_a, 35000))
            heard = receive(local, 1)
            check(heard == [(rtp(sequence), (relay_b, 35002))], f"the local party heard {heard}")
            local.sendto(rtp(sequence), (relay_b, 35002))
            heard = receive(phone, 1)
            check(heard == [(rtp(sequence), (relay_a, 35000))], f"the phone heard {heard}")
        ours = udp("relay", relay_b, 35002)
        tool.ask(f"update {back} {relay_b}/35002 {relay_a}/45000 {relay_a}/35000 "
                 f"{phone_a}/40000 tee")
        local.sendto(rtp(100), (relay_b, 35002))
        check(receive(ours, 1) == [(rtp(100), (relay_a, 45000))], "teed on lo is the socket's")
        check(nothing_for(phone, 0.05), "teed on lo: relayed as well")
        tool.stats(forth, "remove")
        tool.stats(back, "remove")
        local.close()
        ours.close()
        one = tool.install(f"{relay_a}/36000 {relay_a}/36002 {relay_a}/36004 {relay_a}/36006")
        two = tool.install(f"{relay_a}/36006 {relay_a}/36004 {relay_a}/36002 {relay_a}/36000")
        source = udp("relay", relay_a, 36002)
        source.sendto(rtp(1), (relay_a, 36000))
        nothing_for(source)
        stats = [tool.stats(flow, "remove") for flow in (one, two)]
        check(sum(s["drop_loop"] for s in stats) == 1, f"a ring did not end: {stats}")
        check(30 < sum(s["forwarded"] for s in stats) < 64, f"a ring took long: {stats}")
        phone.close()
        source.close()


def test_new_interface(tool, _):
    """An address we listen on appears, on an interface made while calls go on."""
    ours, theirs = new_link()
    for name, device, address in (("relay", ours, RELAY_C), ("a", theirs, PHONE_C)):
        ip(f"addr add {address}/24 dev {device}", name)
        ip(f"link set {device} up", name)
    for _ in range(50):
        status = tool.ask("status")
        if ours in status:
            break
        time.sleep(0.1)
    check(ours in status, status)
    call = Call(tool, RELAY_C, PHONE_C, RELAY_B, PHONE_B)
    call.talk(1, 100)
    check(nothing_for(call.relay_a, 0.05), "a relayed packet came up")
    check(tool.stats(call.flow_forth, "remove")["forwarded"] == 100, "counted twice or not at all")
    tool.stats(call.flow_back, "remove")
    call.close()


def test_mtu_and_routes(tool, _):
    call = Call(tool, RELAY_A, PHONE_A, RELAY_B, PHONE_B)
    call.talk(1, 5)
    ip("link set rb mtu 1000", "relay")
    call.a.sendto(rtp(6, payload=1100), call.to_a)
    check(len(receive(call.relay_a, 1)) == 1, "a packet above the MTU did not reach the socket")
    ip("link set rb mtu 1500", "relay")
    # The phone's card is replaced: another MAC address behind the same IP address.
    ip("link set eth0 down", "b")
    ip("link set eth0 address 02:00:00:00:00:77", "b")
    ip("link set eth0 up", "b")
    ip("neigh flush dev rb", "relay")
    call.b.sendto(rtp(6), call.to_b)
    check(len(receive(call.a, 1)) == 1, "nothing after a new MAC address")
    call.talk(7, 5)
    # Our way out goes down: the socket takes over until it is back.
    ip("link set rb down", "relay")
    check(until(lambda n: (call.a.sendto(rtp(100 + n), call.to_a),
                           receive(call.relay_a, 1, 0.1))),
          "with its way out down a flow is still the kernel's")
    ip("link set rb up", "relay")
    check(until(lambda n: (call.a.sendto(rtp(200 + n), call.to_a), receive(call.b, 1, 0.1))),
          "the flow did not come back to the kernel")
    # Phone b's address moves behind interface ra.
    ip(f"addr add {PHONE_B}/32 dev lo", "a")
    ip(f"route add {RELAY_B}/32 dev eth0", "a")
    ip(f"route add {PHONE_B}/32 via {PHONE_A} dev ra", "relay")
    moved = udp("a", PHONE_B, 50000)
    check(until(lambda n: (call.a.sendto(rtp(300 + n), call.to_a), receive(moved, 1, 0.1))),
          "the flow did not follow the route")
    ip(f"route del {PHONE_B}/32", "relay")
    ip(f"addr del {PHONE_B}/32 dev lo", "a")
    ip(f"route del {RELAY_B}/32", "a")
    moved.close()
    tool.stats(call.flow_forth, "remove")
    tool.stats(call.flow_back, "remove")
    call.close()


def hardware_address(namespace, device):
    with inside(namespace), socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as sock:
        sock.bind((device, 0))
        return sock.getsockname()[4]


def vlan_frame(tag, data):
    """A datagram of phone a's to 35000, in an Ethernet frame with an 802.1Q tag."""
    udp_header = struct.pack("!HHHH", 40000, 35000, 8 + len(data), 0)
    head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 28 + len(data), 0, 0, 64, 17, 0,
                       socket.inet_aton(PHONE_A), socket.inet_aton(RELAY_A))
    total = sum(struct.unpack("!10H", head))
    checksum = ~(total + (total >> 16)) & 0xFFFF
    head = head[:10] + checksum.to_bytes(2, "big") + head[12:]
    return (hardware_address("relay", "ra") + hardware_address("a", "eth0") +
            struct.pack("!HHH", 0x8100, tag, 0x0800) + head + udp_header + data)


def test_vlan_tags(tool, _):
    """On veth the kernel takes the tag off and remembers it beside the packet, as network cards do.
    Another VLAN's packets are none of the call's; VLAN 0 is a priority and goes to the socket."""
    call = Call(tool, RELAY_A, PHONE_A, RELAY_B, PHONE_B)
    call.talk(1, 5)
    with inside("a"):
        wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
        wire.bind(("eth0", 0))
    wire.send(vlan_frame(10, rtp(6)))
    check(nothing_for(call.b) and nothing_for(call.relay_a, 0.05), "VLAN 10 was taken for ours")
    wire.send(vlan_frame(5 << 13, rtp(7)))
    check(sequences(receive(call.relay_a, 1)) == [7], "a priority tag: not at the socket")
    check(nothing_for(call.b, 0.05), "a tagged packet was relayed")
    stats = tool.stats(call.flow_forth, "remove")
    check(stats["received"] == stats["forwarded"] == 5, f"counted {stats}")
    tool.stats(call.flow_back, "remove")
    wire.close()
    call.close()


class LiveCall(threading.Thread):
    """Phone a sends 1,000 packets a second while something happens."""

    def __init__(self, call, first):
        super().__init__(daemon=True)
        self.call, self.first, self.sent, self.going = call, first, 0, True
        self.start()

    def run(self):
        next_s = time.monotonic()
        while self.going:
            self.call.a.sendto(rtp(self.first + self.sent), self.call.to_a)
            self.sent += 1
            next_s += 0.001
            time.sleep(max(0, next_s - time.monotonic()))

    def finish(self):
        """All of it must have been relayed, in order. The next sequence number."""
        self.going = False
        self.join()
        heard = sequences(receive(self.call.b, self.sent, 1))
        after = self.first + self.sent
        check(heard == list(range(self.first, after)), f"{len(heard)} of {self.sent}, or disorder")
        check(nothing_for(self.call.relay_a, 0.05), "a packet went to the socket meanwhile")
        return after


def test_kill_and_take_over(tool, _):
    call = Call(tool, RELAY_A, PHONE_A, RELAY_B, PHONE_B)
    call.talk(1, 100)
    live = LiveCall(call, 101)
    successor = tool
    for _ in range(TAKE_OVERS):
        successor.kill()
        time.sleep(0.02)  # nobody is there for a while
        successor = Tool("keep", RELAY_A, RELAY_B)
        check(len(successor.adopted) == 2, f"adopted {successor.adopted}")
    after = live.finish()
    print(f"  {after - 101} packets during {TAKE_OVERS} kills and take-overs, none lost")
    stats = successor.stats(0)
    other = successor.stats(1)
    stats = stats if stats["forwarded"] > other["forwarded"] else other
    check(stats["forwarded"] == after - 1 and stats["lost"] == 0, f"the count stopped: {stats}")
    try:
        Tool("keep", RELAY_A)
        check(False, "two processes hold one instance")
    except RuntimeError as error:
        check("another process holds" in str(error), str(error))
    successor.kill()
    fresh = Tool("fresh", RELAY_A, RELAY_B)
    call.a.sendto(rtp(1), call.to_a)
    check(sequences(receive(call.relay_a, 1)) == [1], "a fresh start kept an old flow")
    call.close()
    return fresh


def test_shut_down_and_clsact(tool, _):
    tool.shut_down()
    check(not os.path.exists(f"/sys/fs/bpf/{INSTANCE}"), "pins are left over")
    tool = Tool("clsact", RELAY_A, RELAY_B)
    check("rb (clsact)" in tool.status, tool.status)
    call = Call(tool, RELAY_A, PHONE_A, RELAY_B, PHONE_B)
    call.talk(1, 100)
    tool.kill()
    call.talk(101, 100)
    tool = Tool("clsact", RELAY_A, RELAY_B)
    tool.shut_down()
    call.a.sendto(rtp(201), call.to_a)
    check(sequences(receive(call.relay_a, 1)) == [201], "after the end the socket has the flow")
    call.close()


def main():
    if os.geteuid() != 0:
        skip("it needs root")
    have_bpffs()
    try:
        build_network()
    except (RuntimeError, OSError) as error:
        remove_network()
        skip(error)
    try:
        try:
            tool = Tool("fresh", RELAY_A, RELAY_B, RELAY_A6, RELAY_B6, RELAY_C)
        except RuntimeError as error:
            if "CAP_BPF" in str(error) or "mount -t bpf" in str(error):
                skip(error)
            raise
        print(tool.status)
        check(tool.status in ("fast path: active on lo (tcx), ra (tcx), rb (tcx)",
                              "fast path: active on lo (clsact), ra (clsact), rb (clsact)"),
              tool.status)
        mark = int(tool.ask("mark"))
        for test in (test_call, test_ipv6, test_without_root, test_without_root_by_clsact,
                     test_checksum_offloads, test_vlan_tags, test_parties_on_this_host,
                     test_new_interface, test_mtu_and_routes, test_kill_and_take_over,
                     test_shut_down_and_clsact):
            print(test.__name__, flush=True)
            tool = test(tool, mark) or tool
    finally:
        remove_network()


if __name__ == "__main__":
    main()
