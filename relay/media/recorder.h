// Recordings: worker threads hand over copies of packets through bounded queues, one thread does
// all file input and output. A full disk, or one that cannot keep up, costs recordings packets and
// calls nothing.
//
//   control:  begin() → a Recording, shared by the RecordingTaps of a call's legs
//   workers:  RecordingTap::offer() → the ring of their thread
//   recorder: rings → files; a recording whose last tap is gone is closed after all its packets
#pragma once

#include <array>
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <unordered_map>
#include <vector>

#include "relay/base/byte_ring.h"
#include "relay/base/log.h"
#include "relay/base/published.h"
#include "relay/base/result.h"
#include "relay/flow/tap.h"
#include "relay/media/record_directory.h"
#include "relay/media/recorded_packet.h"

namespace relay {

enum class RecordFormat : uint8_t {
  adhoc,
  pcap,
  wav,  // wav_file.h
};

enum class RecordCounter : uint8_t {
#define RECORD_COUNTER(name, help) name,
#include "relay/media/record_counter.def"
#undef RECORD_COUNTER
};
inline constexpr auto kRecordCounterNames = std::to_array<std::string_view>({
#define RECORD_COUNTER(name, help) #name,
#include "relay/media/record_counter.def"
#undef RECORD_COUNTER
});
using RecordFigures = std::array<uint64_t, kRecordCounterNames.size()>;

struct RecorderSettings {
  std::string directory;
  std::string spool_directory;  // empty: none
  RecordFormat format = RecordFormat::adhoc;
  bool with_rtcp = true;
  unsigned threads = 1;                 // that relay packets, numbered from 0
  size_t ring_bytes = size_t{8} << 20;  // a thread; a power of two
};

// What a recording is written to. `rtcp` may be empty (RTCP is left out) or be `rtp`.
struct RecordingFiles {
  std::string rtp, rtcp;
  friend bool operator==(const RecordingFiles&, const RecordingFiles&) = default;
};

class Recorder;
struct RecordingJob;

// Ends when it is destroyed. Control thread, unless said otherwise.
class Recording {
 public:
  enum class State : uint8_t {
    waiting,  // for the disk to make its files
    running,
    broken_off,
  };
  Recording(Recorder& recorder, RecordingJob& job) : recorder_(recorder), job_(job) {}
  ~Recording();
  Recording(const Recording&) = delete;
  Recording& operator=(const Recording&) = delete;

  const RecordingFiles& files() const;
  State state() const;
  std::string why_broken_off() const;
  uint64_t packets() const;
  uint64_t bytes() const;
  uint64_t missing() const;  // packets

  // The thread that calls the tap.
  void add(const TappedPacket& packet, bool is_rtcp);

 private:
  Recorder& recorder_;
  RecordingJob& job_;
};

// Puts what one leg's party sends into a recording, but not what its other party does not get to
// hear because a source speaks.
class RecordingTap final : public Tap {
 public:
  explicit RecordingTap(std::shared_ptr<Recording> recording) : recording_(std::move(recording)) {}
  TapAnswer offer(const TappedPacket& packet) override;
  bool wants(PacketKind kind) const override;
  const char* name() const override { return "recording"; }
  const Recording& recording() const { return *recording_; }
  const std::shared_ptr<Recording>& shared() const { return recording_; }

 private:
  const std::shared_ptr<Recording> recording_;
};

class Recorder {
 public:
  // Fails where a directory is missing, or files cannot be moved from one to the other.
  static Result<std::unique_ptr<Recorder>> start(const RecorderSettings& settings);
  // Requires: no Recording is left. Writes what is still to be written.
  ~Recorder();
  Recorder(const Recorder&) = delete;
  Recorder& operator=(const Recorder&) = delete;

  // --- control thread ---
  // The files have been made when this returns; where that takes longer than 100 ms, it goes on
  // behind the caller's back, and packets wait.
  Result<std::shared_ptr<Recording>> begin(const RecordingFiles& files);
  // Whether a file could be made just now.
  Result<void> try_out() const;
  RecordFigures figures() const;
  const RecorderSettings& settings() const { return settings_; }

 private:
  friend class Recording;
  struct Command {
    enum class What : uint8_t { open, close };
    What what;
    RecordingJob* job;
  };
  Recorder(const RecorderSettings& settings, RecordDirectory directory,
           std::optional<RecordDirectory> spool);

  // Any thread.
  void count(RecordCounter counter, uint64_t n = 1) {
    counters_[static_cast<size_t>(counter)].fetch_add(n, std::memory_order_relaxed);
  }
  uint64_t count_of(RecordCounter counter) const {
    return counters_[static_cast<size_t>(counter)].load(std::memory_order_relaxed);
  }
  ByteRing& ring(uint32_t thread);
  void post_close(RecordingJob& job);

  // Recorder thread.
  void run();
  std::vector<Command> next_commands();
  void drain();
  void record(std::span<const std::byte> entry);
  void open(RecordingJob& job);
  Result<void> open_files(RecordingJob& job);
  Result<std::unique_ptr<RecordWriter>> open_file(RecordingJob& job, const std::string& name);
  void remove_files(const RecordingJob& job);
  void end(RecordingJob& job);
  void move_to_directory(const RecordingJob& job, const std::string& name);
  void break_off(RecordingJob& job, const std::string& reason);
  void leave_out(RecordingJob& job);
  void every_second();
  const RecordDirectory& first_directory() const { return spool_ ? *spool_ : directory_; }

  const RecorderSettings settings_;
  const RecordDirectory directory_;
  const std::optional<RecordDirectory> spool_;
  std::vector<std::unique_ptr<ByteRing>> rings_;
  std::array<std::atomic<uint64_t>, kRecordCounterNames.size()> counters_{};

  std::mutex mutex_;  // guards the commands, and RecordingJob::opened
  std::condition_variable posted_, opened_;
  std::vector<Command> commands_;
  bool stopping_ = false;
  bool late_ = false;  // the last file took too long: nobody waits for the next

  // The recorder thread's own.
  std::vector<std::unique_ptr<RecordingJob>> jobs_;
  std::unordered_map<std::string, RecordingJob*> writer_of_;  // by file name
  uint16_t pcap_id_ = 0;
  int64_t wall_minus_steady_ns_ = 0;
  Instant last_second_{};
  uint64_t overrun_reported_ = 0;
  LogLimit log_{5};

  std::thread thread_;  // last: runs while the rest exists
};

}  // namespace relay
