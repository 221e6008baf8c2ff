// The packets rtpp-load sends: valid RTP and RTCP whose payload says what they are, so that each
// one can be judged where it arrives.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>

namespace relay::tools {

enum class ProbeKind : uint8_t { rtp = 0, rtcp = 1 };

struct Probe {
  uint32_t run = 0;  // tells one run of the program from another
  uint32_t call = 0;
  uint8_t direction = 0;  // 0: sent by phone A, 1: by phone B
  ProbeKind kind = ProbeKind::rtp;
  bool warm_up = false;  // not counted for loss
  uint32_t sequence = 0;
  int64_t sent_ns = 0;  // CLOCK_REALTIME, the clock of the kernel's receive stamps
  friend bool operator==(const Probe&, const Probe&) = default;
};

inline constexpr size_t kRtpHeaderBytes = 12;
inline constexpr size_t kProbeBytes = 32;
inline constexpr size_t kRtcpBytes = 28 + 12 + kProbeBytes;  // SR, then APP with the probe
inline constexpr size_t kPacketBytesMax = 1500;

struct RtpMarks {
  uint8_t payload_type = 0;
  bool marker = false;
  uint32_t timestamp = 0;
};

// `packet` gets an RTP packet; requires at least 12 + kProbeBytes.
void write_rtp_probe(std::span<uint8_t> packet, const Probe& probe, const RtpMarks& marks);
void write_rtcp_probe(std::array<uint8_t, kRtcpBytes>& packet, const Probe& probe);

// Nothing for what is none of ours.
std::optional<Probe> read_probe(std::span<const uint8_t> packet, ProbeKind kind);

// The SSRC a phone sends with.
uint32_t ssrc_of(const Probe& probe);

}  // namespace relay::tools
