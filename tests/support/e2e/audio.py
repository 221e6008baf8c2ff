"""Audio that sounds enough like speech: voiced syllables with pauses, and noise, as G.711."""

import math
import random

SAMPLE_RATE_HZ = 8000
SAMPLES_PER_PACKET = 160  # 20 ms


def linear_to_alaw(sample):
    """ITU-T G.711 A-law of a 16-bit sample."""
    sign = 0x80 if sample >= 0 else 0
    magnitude = min(abs(sample), 32767) >> 3
    exponent = max(magnitude.bit_length() - 5, 0)
    mantissa = (magnitude >> (exponent if exponent > 1 else 1)) & 0x0F
    return (sign | exponent << 4 | mantissa) ^ 0x55


def alaw_to_linear(code):
    """The 16-bit sample that an A-law byte stands for."""
    code ^= 0x55
    exponent, mantissa = code >> 4 & 7, code & 15
    magnitude = (mantissa << 4) + 8 + (0x100 if exponent else 0) << max(exponent - 1, 0)
    return magnitude if code & 0x80 else -magnitude


def speech(seconds, seed):
    """A-law bytes; another seed is another voice, so no two parties send the same bytes."""
    dice = random.Random(seed)
    pitch_hz = dice.uniform(90, 240)
    table = [linear_to_alaw(v << 4) for v in range(-2048, 2048)]
    out = bytearray()
    for n in range(int(seconds * SAMPLE_RATE_HZ)):
        t = n / SAMPLE_RATE_HZ
        syllable = max(0.0, math.sin(2 * math.pi * 3.1 * t)) ** 0.5
        voiced = sum(math.sin(2 * math.pi * pitch_hz * k * t) / k for k in (1, 2, 3, 5))
        sample = syllable * voiced * 500 + dice.uniform(-40, 40)
        out.append(table[max(-2048, min(2047, int(sample))) + 2048])
    return bytes(out)
