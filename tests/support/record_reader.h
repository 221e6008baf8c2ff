// Reads ad-hoc recordings, record by record.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

namespace relay::testing {

struct AdhocRecord {
  uint16_t family = 0;
  uint16_t source_port = 0;
  double arrival_s = 0;
  std::vector<std::byte> payload;
};

struct AdhocFile {
  std::vector<AdhocRecord> records;
  size_t trailing_bytes = 0;  // that make no whole record
};

inline AdhocFile read_adhoc(const std::string& path) {
  std::ifstream stream(path, std::ios::binary);
  const std::string bytes(std::istreambuf_iterator<char>(stream), {});
  constexpr size_t kHeaderBytes = 30;
  AdhocFile file;
  size_t at = 0;
  while (at + kHeaderBytes <= bytes.size()) {
    AdhocRecord record;
    uint16_t payload_bytes = 0;
    std::memcpy(&record.family, &bytes[at], 2);
    record.source_port = static_cast<uint16_t>(static_cast<uint8_t>(bytes[at + 2]) << 8 |
                                               static_cast<uint8_t>(bytes[at + 3]));
    std::memcpy(&record.arrival_s, &bytes[at + 20], 8);
    std::memcpy(&payload_bytes, &bytes[at + 28], 2);
    if (at + kHeaderBytes + payload_bytes > bytes.size()) break;
    for (size_t i = 0; i < payload_bytes; ++i) {
      record.payload.push_back(static_cast<std::byte>(bytes[at + kHeaderBytes + i]));
    }
    at += kHeaderBytes + payload_bytes;
    file.records.push_back(std::move(record));
  }
  file.trailing_bytes = bytes.size() - at;
  return file;
}

}  // namespace relay::testing
