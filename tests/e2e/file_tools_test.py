#!/usr/bin/env python3
"""rtpp-makeann and rtpp-extractaudio from end to end: a prompt is made, sent through recordings as
calls leave them, extracted, and compared sample by sample."""

import array
import math
import os
import pathlib
import struct
import subprocess
import sys
import tempfile
import wave

BIN = pathlib.Path(os.environ["RELAY_BINARY"]).parent
START_S = 1_700_000_000.0


def check(condition, what):
    if not condition:
        sys.exit(f"FAILED: {what}")


def run(tool, *arguments, expected=0):
    done = subprocess.run([str(BIN / tool), *map(str, arguments)], capture_output=True, text=True)
    check(done.returncode == expected,
          f"{tool} {arguments}: exit status {done.returncode}, expected {expected}: {done.stderr}")
    return done


def alaw_to_linear(code):
    """ITU-T G.711, table 1b."""
    code ^= 0x55
    segment, step = (code >> 4) & 7, code & 15
    value = (step << 4) + 8 if segment == 0 else ((step << 4) + 0x108) << (segment - 1)
    return value if code & 0x80 else -value


def rtp(sequence, payload, payload_type=8, ssrc=0xCAFE):
    header = struct.pack("!BBHII", 0x80, payload_type, sequence & 0xFFFF,
                         (sequence * 160) & 0xFFFFFFFF, ssrc)
    return header + payload


def ad_hoc(at_s, packet):
    address = bytes([192, 0, 2, 1]) + bytes(12)
    return (struct.pack("=H", 2) + struct.pack("!H", 41000) + address +
            struct.pack("=dH", at_s, len(packet)) + packet)


def pcap(packets, ipv6=False):
    """Ethernet, in the byte order that this machine does not have, with nanoseconds."""
    order = "<" if sys.byteorder == "big" else ">"
    text = struct.pack(order + "IHHIIII", 0xA1B23C4D, 2, 4, 0, 0, 65535, 1)
    for at_s, packet in packets:
        udp = struct.pack("!HHHH", 41000, 30000, len(packet) + 8, 0) + packet
        if ipv6:
            ip = struct.pack("!IHBB", 6 << 28, len(udp), 17, 64) + bytes(32)
        else:
            ip = struct.pack("!BBHHHBBH", 0x45, 0, len(udp) + 20, 0, 0, 127, 17, 0) + bytes(8)
        frame = bytes(12) + (b"\x86\xdd" if ipv6 else b"\x08\x00") + ip + udp
        nanoseconds = round(at_s * 1_000_000) * 1000
        text += struct.pack(order + "IIII", nanoseconds // 10**9, nanoseconds % 10**9,
                            len(frame), len(frame)) + frame
    return text


def packets_of(payload, delay_s=0.0, lost=(), first_sequence=65500):
    """(time, packet) of 20 ms each; some are lost, one comes twice, two change places."""
    sent = []
    for i in range(len(payload) // 160):
        if i in lost:
            continue
        piece = payload[160 * i:160 * (i + 1)]
        sent.append((START_S + delay_s + 0.02 * i, rtp(first_sequence + i, piece)))
    sent.insert(8, sent[7])
    sent[20], sent[21] = (sent[20][0], sent[21][1]), (sent[21][0], sent[20][1])
    return sent


def samples_of(payload, delay=0, lost=()):
    samples = [0] * delay
    for i, code in enumerate(payload):
        samples.append(0 if i // 160 in lost else alaw_to_linear(code))
    return samples


def read_wav(path):
    with wave.open(str(path)) as sound:
        check(sound.getframerate() == 8000 and sound.getsampwidth() == 2, f"{path}: 16 bits, 8 kHz")
        samples = array.array("h", sound.readframes(sound.getnframes()))
        if sys.byteorder == "big":
            samples.byteswap()
        return sound.getnchannels(), samples.tolist()


def make_prompts(directory):
    """Two prompts as A-law payload, made by rtpp-makeann of raw samples and of a WAV file."""
    tones = {}
    for name, hertz in (("low", 300), ("high", 900)):
        tones[name] = [round(9000 * math.sin(2 * math.pi * hertz * i / 8000)) for i in range(8000)]
    raw = directory / "low.sln"
    raw.write_bytes(struct.pack("<8000h", *tones["low"]))
    sound = directory / "high.wav"
    with wave.open(str(sound), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(struct.pack("<8000h", *tones["high"]))
    run("rtpp-makeann", raw, directory / "low")
    run("rtpp-makeann", "-l", 4000, sound, directory / "high")
    sizes = {suffix: (directory / f"low.{suffix}").stat().st_size for suffix in ("0", "8", "3", "9")}
    check(sizes == {"0": 8000, "8": 8000, "3": 50 * 33, "9": 8000}, f"sizes of a prompt: {sizes}")
    prompts = [(directory / f"{name}.8").read_bytes() for name in ("low", "high")]
    check(len(prompts[1]) == 4000, "-l ends a prompt")
    for prompt, tone in zip(prompts, (tones["low"], tones["high"])):
        worst = max(abs(alaw_to_linear(code) - sample) for code, sample in zip(prompt, tone))
        check(worst <= 256, f"a prompt is the tone it was made of, off by {worst}")
    return prompts


def check_extraction(directory, low, high):
    """An ad-hoc recording: 1 s from the caller, 0.5 s from the callee 40 ms later."""
    stem = directory / "call=tag"
    originate = packets_of(low, lost=(3, 4))
    answer = packets_of(high, delay_s=0.04, lost=(11,))
    pathlib.Path(f"{stem}.o.rtp").write_bytes(b"".join(ad_hoc(*each) for each in originate))
    pathlib.Path(f"{stem}.a.rtp").write_bytes(b"".join(ad_hoc(*each) for each in answer))
    expected_o = samples_of(low, lost=(3, 4))
    expected_a = samples_of(high, delay=320, lost=(11,))
    expected_a += [0] * (len(expected_o) - len(expected_a))

    scan = run("rtpp-extractaudio", "-S", stem)
    check(scan.stdout == f"{stem}.a.rtp: 25\n{stem}.o.rtp: 49\n", f"-S: {scan.stdout}")

    stereo = directory / "stereo.wav"
    done = run("rtpp-extractaudio", "-s", "-D", "pcm_16", stem, stereo, directory / "link.wav")
    channels, samples = read_wav(stereo)
    check(channels == 2, "-s has two channels")
    check(samples[0::2] == expected_a, "left is the answering party, sample by sample")
    check(samples[1::2] == expected_o, "right is the originating party, sample by sample")
    check(stereo.samefile(directory / "link.wav"), "the link is hard")
    lines = done.stdout.splitlines()
    check(lines[0] == "pcount=24, min_seq=65500, max_seq=65524, seq_offset=0, ssrc=0x0000CAFE, "
          "duplicates=1", lines[0])
    check(lines[1] == "ssrc_changes=1, psent=25, precvd=24, plost=1", lines[1])
    check(lines[3] == "pcount=48, min_seq=65500, max_seq=65549, seq_offset=65536, "
          "ssrc=0x0000CAFE, duplicates=1", lines[3])
    check(len(lines) == 6, f"six lines of figures: {done.stdout}")
    check(done.stderr == "samples decoded: O: 7680, A: 3840, written: 8000\n", done.stderr)

    mono = directory / "mono.wav"
    run("rtpp-extractaudio", "-D", "pcm_16", stem, mono)
    channels, samples = read_wav(mono)
    check(channels == 1 and samples == [int((a + o) / 2) for a, o in zip(expected_a, expected_o)],
          "mono is the average")

    for ipv6 in (False, True):
        capture = directory / f"call{ipv6}.pcap"
        capture.write_bytes(pcap(originate, ipv6))
        run("rtpp-extractaudio", "-D", "pcm_16", "-B", capture, mono)
        check(read_wav(mono) == (1, expected_o), f"pcap, IPv6 {ipv6}")


def check_options(directory, low):
    stem = directory / "half"
    answer = pathlib.Path(f"{stem}.a.rtp")
    out = directory / "out.wav"
    answer.write_bytes(b"".join(ad_hoc(*each) for each in packets_of(low)))
    scan = run("rtpp-extractaudio", "-S", stem)
    check(scan.stdout == f"{answer}: 51\n{stem}.o.rtp: -1\n", scan.stdout)
    run("rtpp-extractaudio", "-e", stem, out, expected=1)
    run("rtpp-extractaudio", "-F", "flac", "-D", "ulaw", stem, out, expected=1)
    run("rtpp-extractaudio", stem, directory / "none/out.wav", expected=2)
    run("rtpp-extractaudio", "--alice-crypto", "AES_CM_128_HMAC_SHA1_80:" + 40 * "A", stem, out,
        expected=1)
    run("rtpp-extractaudio", stem, expected=1)
    run("rtpp-extractaudio", directory / "missing", out, expected=1)
    check(answer.exists(), "a failure deletes nothing")
    run("rtpp-extractaudio", stem, "/dev/null")
    run("rtpp-extractaudio", "-idn", stem, out)
    check(not answer.exists(), "-d deletes the recording")
    check(out.read_bytes()[20:22] == b"\x31\x00", "WAV with GSM 6.10 is the default")

    answer.write_bytes(ad_hoc(START_S, rtp(1, bytes(40), payload_type=96)))
    done = run("rtpp-extractaudio", "-d", stem, out)
    check("1 packets of payload type 96 are left out" in done.stderr, done.stderr)
    check(answer.exists(), "-d keeps what was not decoded")


def main():
    with tempfile.TemporaryDirectory() as name:
        directory = pathlib.Path(name)
        low, high = make_prompts(directory)
        check_extraction(directory, low, high)
        check_options(directory, low)
    print("prompts and recordings come out as they went in")


if __name__ == "__main__":
    main()
