"""Tones of 16-bit samples: made, and found again."""

import math
import struct
import warnings

warnings.simplefilter("ignore", DeprecationWarning)
import audioop  # noqa: E402  (in Debian 12's Python; gone in 3.13)


def tone(hz, seconds, rate_hz):
    return b"".join(struct.pack("<h", int(8000 * math.sin(2 * math.pi * hz * n / rate_hz)))
                    for n in range(int(seconds * rate_hz)))


def share_of_tone(pcm, hz, rate_hz):
    """Of the energy of these samples, what is at this frequency: 0 to 1 (Goertzel)."""
    samples = struct.unpack(f"<{len(pcm) // 2}h", pcm)
    energy = sum(s * s for s in samples)
    if not energy:
        return 0.0
    factor = 2 * math.cos(2 * math.pi * hz / rate_hz)
    a = b = 0.0
    for sample in samples:
        a, b = sample + factor * a - b, a
    return (a * a + b * b - factor * a * b) / (energy * len(samples) / 2)


def is_tone(pcm, hz, rate_hz, least=0.7, loud=1000):
    return audioop.rms(pcm, 2) >= loud and share_of_tone(pcm, hz, rate_hz) >= least


def seconds_of_tone(pcm, hz, rate_hz):
    """Found in pieces of 20 ms."""
    step = rate_hz // 50 * 2
    return sum(is_tone(pcm[at:at + step], hz, rate_hz)
               for at in range(0, len(pcm) - step + 1, step)) * 0.020
