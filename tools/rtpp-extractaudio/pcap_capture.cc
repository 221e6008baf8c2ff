#include "tools/rtpp-extractaudio/pcap_capture.h"

#include <fmt/core.h>
#include <netinet/in.h>
#include <pcap/pcap.h>

#include <algorithm>
#include <optional>

namespace relay::tools {
namespace {

constexpr size_t kEthernetBytes = 14;
constexpr size_t kVlanTagBytes = 4;
constexpr size_t kNullBytes = 4;
constexpr size_t kCookedBytes = 16;
constexpr uint16_t kEtherTypeVlan = 0x8100;
constexpr uint16_t kEtherTypeProviderVlan = 0x88A8;
constexpr size_t kIpv4BytesMin = 20;
constexpr size_t kIpv6Bytes = 40;
constexpr size_t kUdpBytes = 8;
constexpr int64_t kSecondsMax = 4'000'000'000;  // pcapng has room for more than nanoseconds have
constexpr uint16_t kFragmentMask = 0x3FFF;      // more fragments, or not the first

struct PcapDeleter {
  void operator()(pcap_t* pcap) const { pcap_close(pcap); }
};

// What the link layer says of the frame is not needed: IP names its version itself.
Bytes ip_packet_in(int link_type, Bytes frame) {
  size_t head_bytes = 0;
  switch (link_type) {
    case DLT_EN10MB:
      head_bytes = kEthernetBytes;
      while (frame.size() >= head_bytes) {
        const uint16_t type = read_be16(frame, head_bytes - 2);
        if (type != kEtherTypeVlan && type != kEtherTypeProviderVlan) break;
        head_bytes += kVlanTagBytes;
      }
      break;
    case DLT_NULL:
      head_bytes = kNullBytes;
      break;
    case DLT_LINUX_SLL:
      head_bytes = kCookedBytes;
      break;
    default:
      break;
  }
  return frame.size() < head_bytes ? Bytes{} : frame.subspan(head_bytes);
}

bool is_known_link(int link_type) {
  return link_type == DLT_EN10MB || link_type == DLT_NULL || link_type == DLT_LINUX_SLL ||
         link_type == DLT_RAW;
}

Bytes udp_payload_in(Bytes datagram) {
  if (datagram.size() < kUdpBytes) return {};
  const size_t bytes = read_be16(datagram, 4);
  if (bytes < kUdpBytes) return {};
  return datagram.first(std::min(bytes, datagram.size())).subspan(kUdpBytes);
}

}  // namespace

Bytes udp_payload(Bytes ip_packet) {
  if (ip_packet.empty()) return {};
  const uint8_t version = byte_at(ip_packet, 0) >> 4;
  if (version == 4 && ip_packet.size() >= kIpv4BytesMin) {
    const size_t head_bytes = size_t{byte_at(ip_packet, 0) & 0x0FU} * 4;
    if (head_bytes < kIpv4BytesMin || ip_packet.size() < head_bytes) return {};
    if (byte_at(ip_packet, 9) != IPPROTO_UDP) return {};
    if ((read_be16(ip_packet, 6) & kFragmentMask) != 0) return {};
    return udp_payload_in(ip_packet.subspan(head_bytes));
  }
  if (version == 6 && ip_packet.size() >= kIpv6Bytes && byte_at(ip_packet, 6) == IPPROTO_UDP) {
    return udp_payload_in(ip_packet.subspan(kIpv6Bytes));
  }
  return {};
}

bool is_pcap(const std::array<unsigned char, 4>& magic) {
  using Magic = std::array<unsigned char, 4>;
  constexpr std::array kMagics{
      Magic{0xA1, 0xB2, 0xC3, 0xD4}, Magic{0xD4, 0xC3, 0xB2, 0xA1},  // microseconds
      Magic{0xA1, 0xB2, 0x3C, 0x4D}, Magic{0x4D, 0x3C, 0xB2, 0xA1},  // nanoseconds
      Magic{0x0A, 0x0D, 0x0D, 0x0A},                                 // pcapng
  };
  return std::find(kMagics.begin(), kMagics.end(), magic) != kMagics.end();
}

Result<Capture> read_pcap(const std::string& path, StdioFile file) {
  std::array<char, PCAP_ERRBUF_SIZE> error{};
  const std::unique_ptr<pcap_t, PcapDeleter> pcap(pcap_fopen_offline_with_tstamp_precision(
      file.get(), PCAP_TSTAMP_PRECISION_NANO, error.data()));
  if (pcap == nullptr) return fail(fmt::format("{}: {}", path, error.data()));
  (void)file.release();  // pcap closes it
  const int link_type = pcap_datalink(pcap.get());
  if (!is_known_link(link_type)) {
    const char* name = pcap_datalink_val_to_name(link_type);
    return fail(fmt::format("{}: link type {}; expected Ethernet, NULL, raw IP or Linux cooked",
                            path, name != nullptr ? name : std::to_string(link_type)));
  }
  Capture capture;
  for (;;) {
    pcap_pkthdr* head = nullptr;
    const unsigned char* data = nullptr;
    const int result = pcap_next_ex(pcap.get(), &head, &data);
    if (result == PCAP_ERROR) {
      capture.damage =
          fmt::format("{}: {}; the packets before it are used", path, pcap_geterr(pcap.get()));
    }
    if (result != 1) break;
    // Asked for in nanoseconds, they come in tv_usec.
    const int64_t seconds = std::clamp<int64_t>(head->ts.tv_sec, 0, kSecondsMax);
    const int64_t arrival_ns = seconds * 1'000'000'000 + head->ts.tv_usec;
    const Bytes frame = std::as_bytes(std::span(data, head->caplen));
    capture.add(arrival_ns, udp_payload(ip_packet_in(link_type, frame)));
  }
  return capture;
}

}  // namespace relay::tools
