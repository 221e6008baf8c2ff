"""Codecs of phones: G.711 by Python, G.722 and Opus by the libraries that phones use, too."""

import ctypes
import struct
import warnings

from netlab import CannotRun

warnings.simplefilter("ignore", DeprecationWarning)
import audioop  # noqa: E402  (in Debian 12's Python; gone in 3.13)

OPUS_APPLICATION_VOIP = 2048


def library(name):
    try:
        return ctypes.CDLL(name)
    except OSError as error:
        raise CannotRun(str(error)) from error


class Pcmu:
    """Each has the 20 ms packets of one direction: `encode` and `decode` 16-bit samples."""
    payload_type, rate_hz, clock_hz = 0, 8000, 8000

    def encode(self, pcm):
        return audioop.lin2ulaw(pcm, 2)

    def decode(self, payload):
        return audioop.ulaw2lin(payload, 2)


class Pcma(Pcmu):
    payload_type = 8

    def encode(self, pcm):
        return audioop.lin2alaw(pcm, 2)

    def decode(self, payload):
        return audioop.alaw2lin(payload, 2)


class G722:
    payload_type, rate_hz, clock_hz = 9, 16000, 8000  # RFC 3551 §4.5.2

    def __init__(self):
        self._library = library("libspandsp.so.2")
        for name in ("g722_encode_init", "g722_decode_init"):
            getattr(self._library, name).restype = ctypes.c_void_p
        self._encoder = ctypes.c_void_p(self._library.g722_encode_init(None, 64000, 0))
        self._decoder = ctypes.c_void_p(self._library.g722_decode_init(None, 64000, 0))

    def encode(self, pcm):
        samples = len(pcm) // 2
        payload = ctypes.create_string_buffer(samples)
        octets = self._library.g722_encode(self._encoder, payload, pcm, samples)
        return payload.raw[:octets]

    def decode(self, payload):
        pcm = ctypes.create_string_buffer(4 * len(payload))
        samples = self._library.g722_decode(self._decoder, pcm, payload, len(payload))
        return pcm.raw[:2 * samples]


class Opus:
    payload_type, rate_hz, clock_hz = 111, 48000, 48000  # RFC 7587

    def __init__(self):
        self._library, error = library("libopus.so.0"), ctypes.c_int()
        for name in ("opus_encoder_create", "opus_decoder_create"):
            getattr(self._library, name).restype = ctypes.c_void_p
        self._encoder = ctypes.c_void_p(self._library.opus_encoder_create(
            self.rate_hz, 1, OPUS_APPLICATION_VOIP, ctypes.byref(error)))
        self._decoder = ctypes.c_void_p(self._library.opus_decoder_create(
            self.rate_hz, 1, ctypes.byref(error)))

    def encode(self, pcm):
        payload = ctypes.create_string_buffer(1500)
        octets = self._library.opus_encode(self._encoder, pcm, len(pcm) // 2, payload, 1500)
        return payload.raw[:max(octets, 0)]

    def decode(self, payload):
        pcm = ctypes.create_string_buffer(2 * 5760)
        samples = self._library.opus_decode(self._decoder, payload, len(payload), pcm, 5760, 0)
        return pcm.raw[:2 * max(samples, 0)]


CODECS = {"PCMU": Pcmu, "PCMA": Pcma, "G722": G722, "opus": Opus}


class CodedSource:
    """RTP packets of 20 ms of the samples that `pcm(n)` returns for packet n."""
    interval_s = 0.020

    def __init__(self, codec, ssrc, pcm):
        self.ssrc = ssrc
        self._codec, self._pcm, self._packets = codec, pcm, []

    def packet(self, n):
        while len(self._packets) <= n:  # encoders have memory: in order, once
            at = len(self._packets)
            header = struct.pack("!BBHII", 0x80, self._codec.payload_type | 0x80 * (at == 0),
                                 at & 0xFFFF, at * self._codec.clock_hz // 50, self.ssrc)
            self._packets.append(header + self._codec.encode(self._pcm(at)))
        return self._packets[n]
