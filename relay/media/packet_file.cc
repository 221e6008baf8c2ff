#include "relay/media/packet_file.h"

#include <unistd.h>

#include <cerrno>

namespace relay {
namespace {

// Half a second of both directions of a call: some hundred calls take some hundred writes a second.
constexpr size_t kBufferBytes = 16 * 1024;

}  // namespace

PacketFile::PacketFile(UniqueFd fd, uint16_t* record_id)
    : fd_(std::move(fd)), record_id_(record_id) {
  if (record_id_ == nullptr) return;
  append_pcap_file_header(buffer_);
  ends_.push_back(buffer_.size());
}

Result<bool> PacketFile::write(const RecordedPacket& packet) {
  if (record_id_ != nullptr) {
    append_pcap(packet, (*record_id_)++, buffer_);
  } else {
    append_adhoc(packet, buffer_);
  }
  ends_.push_back(buffer_.size());
  if (buffer_.size() >= kBufferBytes) {
    if (auto flushed = flush(); !flushed) return tl::unexpected(flushed.error());
  }
  return true;
}

Result<void> PacketFile::flush() {
  size_t written = 0;
  while (written < buffer_.size()) {
    const ssize_t n = ::write(fd_.get(), buffer_.data() + written, buffer_.size() - written);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) {
      auto failed = fail_errno("write");
      cut_to_whole_records(written);
      return failed;
    }
    written += static_cast<size_t>(n);
  }
  file_bytes_ += written;
  buffer_.clear();
  ends_.clear();
  return {};
}

void PacketFile::cut_to_whole_records(size_t written) {
  size_t whole = 0;
  for (const size_t end : ends_) {
    if (end <= written) whole = end;
    if (end > written) ++lost_;
  }
  // A reader takes half a record for a broken file; if this fails, it has to.
  [[maybe_unused]] const int cut = ::ftruncate(fd_.get(), static_cast<off_t>(file_bytes_ + whole));
  buffer_.clear();
  ends_.clear();
}

}  // namespace relay
