// A file of packets in one of the formats of packet_records.h. Recorder thread.
#pragma once

#include <cstdint>

#include "relay/base/unique_fd.h"
#include "relay/media/packet_records.h"
#include "relay/media/recorded_packet.h"

namespace relay {

class PacketFile final : public RecordWriter {
 public:
  // pcap: `record_id` is counted up with every record and outlives the file. nullptr: ad-hoc.
  PacketFile(UniqueFd fd, uint16_t* record_id);

  Result<bool> write(const RecordedPacket& packet) override;
  // On failure the file ends with the last record that fitted.
  Result<void> flush() override;
  Result<void> finish() override { return flush(); }
  uint64_t lost() const override { return lost_; }

 private:
  void cut_to_whole_records(size_t written);

  UniqueFd fd_;
  uint16_t* const record_id_;
  RecordBuffer buffer_;
  std::vector<size_t> ends_;  // of the records in `buffer_`
  uint64_t lost_ = 0;
  uint64_t file_bytes_ = 0;  // written so far
};

}  // namespace relay
