// One direction of a recording in memory: the RTP packets of a file and when they arrived.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "relay/base/result.h"
#include "relay/rtp/demux.h"

namespace relay::tools {

class Capture {
 public:
  size_t size() const { return packets_.size(); }
  // A packet with its RTP header, as it was received.
  Bytes packet(size_t index) const {
    return Bytes(bytes_).subspan(packets_[index].offset, packets_[index].bytes);
  }
  std::span<std::byte> packet(size_t index) {
    return std::span(bytes_).subspan(packets_[index].offset, packets_[index].bytes);
  }
  int64_t arrival_ns(size_t index) const { return packets_[index].arrival_ns; }

  // Keeps what the demux calls RTP; RTCP, STUN and the like are no audio.
  void add(int64_t arrival_ns, Bytes datagram);
  // Cuts a packet that has become shorter in place.
  void shorten(size_t index, size_t bytes);

  // Why the file ends before its end, if it is damaged: what came before is here.
  std::string damage;

 private:
  struct Entry {
    int64_t arrival_ns = 0;
    size_t offset = 0, bytes = 0;
  };
  std::vector<Entry> packets_;
  std::vector<std::byte> bytes_;
};

// Reads pcap (and pcapng), or the ad-hoc format; their first bytes tell them apart. Fails if the
// file cannot be read, is empty, or is damaged before its first packet.
Result<Capture> read_capture(const std::string& path);

}  // namespace relay::tools
