#include "relay/rtp/rtcp_rewrite.h"

#include <algorithm>
#include <array>
#include <cstring>

namespace relay {
namespace {

constexpr uint8_t kSenderReport = 200;
constexpr uint8_t kReceiverReport = 201;
constexpr uint8_t kSourceDescription = 202;
constexpr uint8_t kGoodbye = 203;
constexpr size_t kHeaderBytes = 8;       // with the sender's SSRC
constexpr size_t kSenderInfoBytes = 20;  // behind it in a sender report
constexpr size_t kPacketsAt = 20, kOctetsAt = 24;

// The first of the packets that `compound` begins with; empty when it does not add up.
Bytes first_of(Bytes compound) {
  if (compound.size() < 4 || (byte_at(compound, 0) & 0xC0) != 0x80) return {};
  const size_t bytes = (size_t{read_be16(compound, 2)} + 1) * 4;
  return bytes <= compound.size() ? compound.first(bytes) : Bytes{};
}

uint8_t type_of(Bytes packet) {
  return byte_at(packet, 1);
}

bool is_sender_report(Bytes packet) {
  return type_of(packet) == kSenderReport && packet.size() >= kHeaderBytes + kSenderInfoBytes;
}

class Writer {
 public:
  explicit Writer(std::span<std::byte> out) : out_(out) {}
  void copy(Bytes bytes) {
    std::copy(bytes.begin(), bytes.end(), out_.begin() + static_cast<std::ptrdiff_t>(size_));
    size_ += bytes.size();
  }
  void be16(uint16_t value) {
    write_be16(out_, size_, value);
    size_ += sizeof value;
  }
  void be32(uint32_t value) {
    write_be32(out_, size_, value);
    size_ += sizeof value;
  }
  Bytes written() const { return out_.first(size_); }

 private:
  std::span<std::byte> out_;
  size_t size_ = 0;
};

void copy_with_counts(Bytes report, uint32_t packets, uint32_t octets, Writer& out) {
  out.copy(report.first(kPacketsAt));
  out.be32(read_be32(report, kPacketsAt) + packets);
  out.be32(read_be32(report, kOctetsAt) + octets);
  out.copy(report.subspan(kOctetsAt + 4));
}

void copy_as_receiver_report(Bytes report, Writer& out) {
  const auto words = static_cast<uint16_t>((report.size() - kSenderInfoBytes) / 4 - 1);
  out.be16(static_cast<uint16_t>((byte_at(report, 0) << 8) | kReceiverReport));
  out.be16(words);
  out.copy(report.subspan(4, 4));
  out.copy(report.subspan(kHeaderBytes + kSenderInfoBytes));
}

// Hands each packet of the compound to `copy`, and copies what follows them as it is.
template <typename Copy>
Bytes rewrite(Bytes compound, std::span<std::byte> out, Copy copy) {
  Writer writer(out);
  for (Bytes packet = first_of(compound); !packet.empty(); packet = first_of(compound)) {
    copy(packet, writer);
    compound = compound.subspan(packet.size());
  }
  writer.copy(compound);
  return writer.written();
}

}  // namespace

Bytes with_sender_counts(Bytes packet, uint32_t ssrc, uint32_t packets, uint32_t octets,
                         std::span<std::byte> out) {
  return rewrite(packet, out, [&](Bytes part, Writer& writer) {
    if (is_sender_report(part) && read_be32(part, 4) == ssrc) {
      return copy_with_counts(part, packets, octets, writer);
    }
    writer.copy(part);
  });
}

Bytes without_goodbye(Bytes packet, std::span<std::byte> out) {
  return rewrite(packet, out, [](Bytes part, Writer& writer) {
    if (type_of(part) != kGoodbye) writer.copy(part);
  });
}

Bytes without_sender(Bytes packet, std::span<std::byte> out) {
  return rewrite(packet, out, [](Bytes part, Writer& writer) {
    if (is_sender_report(part)) return copy_as_receiver_report(part, writer);
    if (type_of(part) != kGoodbye) writer.copy(part);
  });
}

Bytes write_sender_report(const SenderReport& report,
                          std::span<std::byte, kSenderReportBytes> out) {
  Writer writer(out);
  writer.be16(0x80 << 8 | kSenderReport);
  writer.be16(6);
  writer.be32(report.ssrc);
  writer.be32(static_cast<uint32_t>(report.ntp >> 32));
  writer.be32(static_cast<uint32_t>(report.ntp & 0xFFFFFFFF));
  writer.be32(report.timestamp);
  writer.be32(report.packets);
  writer.be32(report.octets);
  // One chunk: SSRC, CNAME of eight hexadecimal digits, and zeros to the word's end.
  writer.be16(0x81 << 8 | kSourceDescription);
  writer.be16(4);
  writer.be32(report.ssrc);
  writer.be16(1 << 8 | 8);
  for (int shift = 24; shift >= 0; shift -= 8) {
    const auto digit = [&](uint32_t value) { return "0123456789abcdef"[value & 0xF]; };
    const uint32_t octet = report.ssrc >> shift;
    writer.be16(static_cast<uint16_t>(digit(octet >> 4) << 8 | digit(octet)));
  }
  writer.be16(0);
  return writer.written();
}

}  // namespace relay
