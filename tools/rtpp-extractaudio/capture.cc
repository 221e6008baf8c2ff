#include "tools/rtpp-extractaudio/capture.h"

#include <fmt/core.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <optional>

#include "relay/base/assert.h"
#include "tools/rtpp-extractaudio/pcap_capture.h"

namespace relay::tools {
namespace {

// The head of an ad-hoc record, all of it in the byte order of the machine that recorded: address
// family, 18 bytes of port and address, seconds since 1970 as a double, length of the payload.
constexpr size_t kHeadBytes = 30;
constexpr size_t kTimeAt = 20;
constexpr size_t kLengthAt = 28;
constexpr double kSecondsMax = 4e9;  // the year 2096

struct RecordHead {
  int64_t arrival_ns = 0;
  size_t payload_bytes = 0;
};

std::optional<RecordHead> parse_head(const std::array<std::byte, kHeadBytes>& head) {
  uint16_t family = 0, length = 0;
  double seconds = 0;
  std::memcpy(&family, head.data(), sizeof family);
  std::memcpy(&seconds, head.data() + kTimeAt, sizeof seconds);
  std::memcpy(&length, head.data() + kLengthAt, sizeof length);
  if (family != AF_INET && family != AF_INET6) return std::nullopt;
  if (!(seconds >= 0 && seconds < kSecondsMax)) return std::nullopt;  // nor is it a number
  return RecordHead{std::llround(seconds * 1e9), length};
}

Result<Capture> read_ad_hoc(const std::string& path, std::FILE* file) {
  Capture capture;
  std::array<std::byte, kHeadBytes> head{};
  std::vector<std::byte> payload;
  for (size_t offset = 0, records = 0;; ++records) {
    const size_t head_bytes = std::fread(head.data(), 1, head.size(), file);
    if (head_bytes == 0) break;
    const auto record = parse_head(head);
    if (head_bytes == head.size() && !record && records == 0) {
      return fail(fmt::format("{}: neither a pcap file nor an ad-hoc recording", path));
    }
    if (head_bytes < head.size() || !record) {
      capture.damage = fmt::format("{}: {} at byte {}; the packets before it are used", path,
                                   head_bytes < head.size() ? "a cut record" : "no record", offset);
      break;
    }
    payload.resize(record->payload_bytes);
    if (std::fread(payload.data(), 1, payload.size(), file) != payload.size()) {
      capture.damage =
          fmt::format("{}: a cut record at byte {}; the packets before it are used", path, offset);
      break;
    }
    capture.add(record->arrival_ns, payload);
    offset += kHeadBytes + payload.size();
  }
  if (std::ferror(file) != 0) return fail_errno(path);
  return capture;
}

}  // namespace

void Capture::add(int64_t arrival_ns, Bytes datagram) {
  if (demux(datagram) != PacketKind::rtp) return;
  packets_.push_back({arrival_ns, bytes_.size(), datagram.size()});
  bytes_.insert(bytes_.end(), datagram.begin(), datagram.end());
}

void Capture::shorten(size_t index, size_t bytes) {
  RELAY_ASSERT(bytes <= packets_[index].bytes);
  packets_[index].bytes = bytes;
}

Result<Capture> read_capture(const std::string& path) {
  StdioFile file(std::fopen(path.c_str(), "rb"));
  if (file == nullptr) return fail_errno(path);
  std::array<unsigned char, 4> magic{};
  const size_t magic_bytes = std::fread(magic.data(), 1, magic.size(), file.get());
  if (std::ferror(file.get()) != 0) return fail_errno(path);
  if (magic_bytes == 0) return fail(fmt::format("{}: empty", path));
  if (std::fseek(file.get(), 0, SEEK_SET) != 0) return fail_errno(path);
  if (magic_bytes == magic.size() && is_pcap(magic)) return read_pcap(path, std::move(file));
  return read_ad_hoc(path, file.get());
}

}  // namespace relay::tools
