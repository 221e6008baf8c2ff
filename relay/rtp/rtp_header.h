// A validated view of an RTP packet, RFC 3550 §5.1 and §5.3.1. Getters need no checks.
#pragma once

#include <optional>

#include "relay/rtp/demux.h"

namespace relay {

class RtpView {
 public:
  // Nothing unless version is 2 and CSRCs, extension and padding all fit in `packet`.
  // `packet` must outlive the view.
  static std::optional<RtpView> parse(Bytes packet);

  bool marker() const { return (byte_at(packet_, 1) & 0x80) != 0; }
  uint8_t payload_type() const { return byte_at(packet_, 1) & 0x7F; }
  uint16_t sequence() const { return read_be16(packet_, 2); }
  uint32_t timestamp() const { return read_be32(packet_, 4); }
  uint32_t ssrc() const { return read_be32(packet_, 8); }
  Bytes payload() const { return packet_.subspan(header_bytes_, payload_bytes_); }

 private:
  RtpView(Bytes packet, size_t header_bytes, size_t payload_bytes)
      : packet_(packet), header_bytes_(header_bytes), payload_bytes_(payload_bytes) {}
  Bytes packet_;
  size_t header_bytes_;
  size_t payload_bytes_;
};

}  // namespace relay
