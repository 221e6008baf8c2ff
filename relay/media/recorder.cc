#include "relay/media/recorder.h"

#include <pthread.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <system_error>
#include <utility>

#include "relay/base/assert.h"
#include "relay/base/blocked_signals.h"
#include "relay/media/packet_file.h"
#include "relay/media/wav_file.h"

namespace relay {

// The recorder thread's side of a Recording.
struct RecordingJob {
  explicit RecordingJob(RecordingFiles names) : files(std::move(names)) {}

  const RecordingFiles files;
  // Published by the recorder thread; `reason` is written before `state` says so.
  std::atomic<Recording::State> state{Recording::State::waiting};
  std::string reason;
  Counter packets, bytes;
  std::atomic<uint64_t> missing{0};
  bool opened = false;  // or not: the attempt is over
  // The recorder thread's own. `rtcp_writer` is empty where `rtp_writer` or nobody has it.
  std::unique_ptr<RecordWriter> rtp_writer, rtcp_writer;
  bool said_what_is_left_out = false;
};

namespace {

using std::chrono::milliseconds;
using std::chrono::nanoseconds;

// How often rings are emptied while something is recorded. A ring holds many times as much.
constexpr milliseconds kRound{20};
constexpr milliseconds kPatience{100};
constexpr Duration kSecond = std::chrono::seconds(1);

// In front of a packet in a ring.
struct Entry {
  RecordingJob* job;
  Endpoint source, local;
  int64_t arrival_ns;
  LegId leg;
  bool is_rtcp;
};

int64_t wall_now_ns() {
  return std::chrono::duration_cast<nanoseconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

bool is_of_rtcp(const TappedPacket& packet) {
  return packet.kind == PacketKind::rtcp || packet.component == Component::rtcp;
}

}  // namespace

// --- Recording, RecordingTap ---

Recording::~Recording() {
  recorder_.post_close(job_);
}

const RecordingFiles& Recording::files() const {
  return job_.files;
}
Recording::State Recording::state() const {
  return job_.state.load(std::memory_order_acquire);
}
std::string Recording::why_broken_off() const {
  return state() == State::broken_off ? job_.reason : "";
}
uint64_t Recording::packets() const {
  return job_.packets.get();
}
uint64_t Recording::bytes() const {
  return job_.bytes.get();
}
uint64_t Recording::missing() const {
  return job_.missing.load(std::memory_order_relaxed);
}

void Recording::add(const TappedPacket& packet, bool is_rtcp) {
  ByteRing& ring = recorder_.ring(packet.thread);
  const auto room = ring.claim(sizeof(Entry) + packet.bytes.size());
  if (room.empty()) {
    job_.missing.fetch_add(1, std::memory_order_relaxed);
    recorder_.count(RecordCounter::queue_full);
    return;
  }
  const Entry entry{&job_, packet.source, packet.local, to_ns(packet.arrival), packet.leg, is_rtcp};
  std::memcpy(room.data(), &entry, sizeof entry);
  std::copy(packet.bytes.begin(), packet.bytes.end(), room.data() + sizeof entry);
  ring.commit();
}

bool RecordingTap::wants(PacketKind kind) const {
  return kind != PacketKind::rtcp || !recording_->files().rtcp.empty();
}

TapAnswer RecordingTap::offer(const TappedPacket& packet) {
  if (packet.replaced) return TapAnswer::relay;
  const bool is_rtcp = is_of_rtcp(packet);
  if (!is_rtcp || !recording_->files().rtcp.empty()) recording_->add(packet, is_rtcp);
  return TapAnswer::relay;
}

// --- Recorder: control thread ---

Recorder::Recorder(const RecorderSettings& settings, RecordDirectory directory,
                   std::optional<RecordDirectory> spool)
    : settings_(settings), directory_(std::move(directory)), spool_(std::move(spool)) {
  RELAY_ASSERT(settings.threads > 0 && settings.threads <= kTapThreadsMax);
  for (unsigned i = 0; i < settings.threads; ++i) {
    rings_.push_back(std::make_unique<ByteRing>(settings.ring_bytes));
  }
}

Result<std::unique_ptr<Recorder>> Recorder::start(const RecorderSettings& settings) {
  auto directory = RecordDirectory::open(settings.directory);
  if (!directory) return tl::unexpected(directory.error());
  std::optional<RecordDirectory> spool;
  if (!settings.spool_directory.empty()) {
    auto opened = RecordDirectory::open(settings.spool_directory);
    if (!opened) return tl::unexpected(opened.error());
    spool.emplace(std::move(*opened));
  }
  std::unique_ptr<Recorder> recorder(
      new Recorder(settings, std::move(*directory), std::move(spool)));
  // Moving a finished recording is to be one step, so that whoever collects them sees whole ones.
  if (recorder->spool_ && !recorder->spool_->can_move_to(recorder->directory_)) {
    return fail("the spool directory " + quoted(settings.spool_directory) +
                " (-S) and the recording directory " + quoted(settings.directory) +
                " (-r) must be on one file system and mount");
  }
  const BlockedSignals blocked;
  try {
    recorder->thread_ = std::thread([r = recorder.get()] { r->run(); });
  } catch (const std::system_error& error) {
    return fail(std::string("cannot start the recorder thread: ") + error.what());
  }
  pthread_setname_np(recorder->thread_.native_handle(), "relay/recorder");
  return recorder;
}

Recorder::~Recorder() {
  if (!thread_.joinable()) return;
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  posted_.notify_one();
  thread_.join();
}

Result<std::shared_ptr<Recording>> Recorder::begin(const RecordingFiles& files) {
  RecordingJob* job = new RecordingJob(files);  // the recorder thread's once it is posted
  auto recording = std::make_shared<Recording>(*this, *job);
  std::unique_lock lock(mutex_);
  commands_.push_back({Command::What::open, job});
  posted_.notify_one();
  if (late_) return recording;
  late_ = !opened_.wait_for(lock, kPatience, [&] { return job->opened; });
  lock.unlock();
  if (recording->state() == Recording::State::broken_off) return fail(job->reason);
  return recording;
}

void Recorder::post_close(RecordingJob& job) {
  {
    const std::lock_guard lock(mutex_);
    commands_.push_back({Command::What::close, &job});
  }
  posted_.notify_one();
}

Result<void> Recorder::try_out() const {
  const std::string name = ".rtpp-relay-writes-here";
  const RecordDirectory& first = first_directory();
  if (auto made = first.create(name); !made) return tl::unexpected(made.error());
  if (!spool_) {
    first.remove(name);
    return {};
  }
  auto moved = first.move(name, directory_);
  (moved ? directory_ : first).remove(name);
  return moved;
}

RecordFigures Recorder::figures() const {
  RecordFigures figures{};
  for (size_t i = 0; i < figures.size(); ++i) {
    figures[i] = counters_[i].load(std::memory_order_relaxed);
  }
  return figures;
}

ByteRing& Recorder::ring(uint32_t thread) {
  RELAY_ASSERT(thread < rings_.size());
  return *rings_[thread];
}

// --- Recorder: its thread ---

void Recorder::run() {
  for (;;) {
    const std::vector<Command> commands = next_commands();
    wall_minus_steady_ns_ = wall_now_ns() - to_ns(steady_now());
    // Closed is after the rings: all packets of a recording were there before its last tap was
    // destroyed.
    for (const Command& command : commands) {
      if (command.what == Command::What::open) open(*command.job);
    }
    drain();
    for (const Command& command : commands) {
      if (command.what == Command::What::close) end(*command.job);
    }
    every_second();
    const std::lock_guard lock(mutex_);
    if (stopping_ && commands_.empty()) break;
  }
  // Recordings whose taps the planes never let go of.
  drain();
  while (!jobs_.empty()) end(*jobs_.back());
}

std::vector<Recorder::Command> Recorder::next_commands() {
  std::unique_lock lock(mutex_);
  const auto something = [&] { return stopping_ || !commands_.empty(); };
  if (jobs_.empty()) {
    posted_.wait(lock, something);
  } else {
    posted_.wait_for(lock, kRound, something);
  }
  return std::exchange(commands_, {});
}

// What has come by now; what comes meanwhile is for the next round.
void Recorder::drain() {
  for (const auto& ring : rings_) {
    const uint64_t end = ring->written();
    while (ring->read() < end) {
      record(ring->front());
      ring->pop();
    }
  }
}

void Recorder::record(std::span<const std::byte> bytes) {
  Entry entry;
  std::memcpy(static_cast<void*>(&entry), bytes.data(), sizeof entry);
  RecordingJob& job = *entry.job;
  if (job.state.load(std::memory_order_relaxed) == Recording::State::waiting) open(job);
  if (job.state.load(std::memory_order_relaxed) != Recording::State::running) {
    job.missing.fetch_add(1, std::memory_order_relaxed);
    count(RecordCounter::after_failure);
    return;
  }
  RecordedPacket packet;
  packet.leg = entry.leg;
  packet.is_rtcp = entry.is_rtcp;
  packet.source = entry.source;
  packet.local = entry.local;
  packet.arrival = from_ns(entry.arrival_ns);
  packet.wall_ns = entry.arrival_ns + wall_minus_steady_ns_;
  packet.bytes = bytes.subspan(sizeof entry);
  RecordWriter& writer = packet.is_rtcp && job.rtcp_writer ? *job.rtcp_writer : *job.rtp_writer;
  const auto written = writer.write(packet);
  if (written && !*written) return leave_out(job);
  job.packets.add();
  job.bytes.add(packet.bytes.size());
  count(RecordCounter::packets);
  count(RecordCounter::bytes, packet.bytes.size());
  if (!written) break_off(job, written.error().message);
}

void Recorder::leave_out(RecordingJob& job) {
  job.missing.fetch_add(1, std::memory_order_relaxed);
  count(RecordCounter::undecodable);
  if (std::exchange(job.said_what_is_left_out, true)) return;
  log_.warning("recording leaves out packets that are no audio this relay can decode file={}",
               quoted(job.files.rtp));
}

// Its command may have been overtaken by its first packet.
void Recorder::open(RecordingJob& job) {
  if (job.state.load(std::memory_order_relaxed) != Recording::State::waiting) return;
  jobs_.emplace_back(&job);
  if (const auto opened = open_files(job)) {
    count(RecordCounter::started);
    job.state.store(Recording::State::running, std::memory_order_release);
  } else {
    remove_files(job);
    count(RecordCounter::not_started);
    log_.warning("recording not started file={} reason={}", quoted(job.files.rtp),
                 opened.error().message);
    job.reason = opened.error().message;
    job.state.store(Recording::State::broken_off, std::memory_order_release);
  }
  {
    const std::lock_guard lock(mutex_);
    job.opened = true;
    late_ = false;
  }
  opened_.notify_one();
}

Result<void> Recorder::open_files(RecordingJob& job) {
  auto rtp = open_file(job, job.files.rtp);
  if (!rtp) return tl::unexpected(rtp.error());
  if (!job.files.rtcp.empty() && job.files.rtcp != job.files.rtp) {
    auto rtcp = open_file(job, job.files.rtcp);
    if (!rtcp) return tl::unexpected(rtcp.error());
    job.rtcp_writer = std::move(*rtcp);
  }
  job.rtp_writer = std::move(*rtp);
  return {};
}

// Headers go into the file at once, so that a disk that takes none is known now.
Result<std::unique_ptr<RecordWriter>> Recorder::open_file(RecordingJob& job,
                                                          const std::string& name) {
  auto fd = first_directory().create(name);
  if (!fd) return tl::unexpected(fd.error());
  writer_of_[name] = &job;
  if (settings_.format == RecordFormat::wav) return std::make_unique<WavFile>(std::move(*fd));
  uint16_t* const id = settings_.format == RecordFormat::pcap ? &pcap_id_ : nullptr;
  auto writer = std::make_unique<PacketFile>(std::move(*fd), id);
  if (auto flushed = writer->flush(); !flushed) return tl::unexpected(flushed.error());
  return writer;
}

// Of a recording that could not be started.
void Recorder::remove_files(const RecordingJob& job) {
  for (const std::string* name : {&job.files.rtp, &job.files.rtcp}) {
    const auto writer = writer_of_.find(*name);
    if (writer == writer_of_.end() || writer->second != &job) continue;
    writer_of_.erase(writer);
    first_directory().remove(*name);
  }
}

void Recorder::end(RecordingJob& job) {
  for (auto* writer : {&job.rtp_writer, &job.rtcp_writer}) {
    if (!*writer) continue;
    const auto finished = (*writer)->finish();
    if (!finished) break_off(job, finished.error().message);
    writer->reset();
  }
  move_to_directory(job, job.files.rtp);
  move_to_directory(job, job.files.rtcp);
  if (job.state.load(std::memory_order_relaxed) == Recording::State::running) {
    const uint64_t missing = job.missing.load(std::memory_order_relaxed);
    log_debug("recording ended file={} packets={}", quoted(job.files.rtp), job.packets.get());
    if (missing > 0) {
      count(RecordCounter::incomplete);
      log_.warning("recording is incomplete file={} packets={} missing={}", quoted(job.files.rtp),
                   job.packets.get(), missing);
    }
    count(RecordCounter::ended);  // last: whoever sees it finds the rest counted
  }
  std::erase_if(jobs_, [&](const auto& owned) { return owned.get() == &job; });
}

// A later recording of the same name has replaced the file, and moves its own.
void Recorder::move_to_directory(const RecordingJob& job, const std::string& name) {
  const auto writer = writer_of_.find(name);
  if (writer == writer_of_.end() || writer->second != &job) return;
  writer_of_.erase(writer);
  if (!spool_) return;
  if (auto moved = spool_->move(name, directory_); !moved) {
    count(RecordCounter::not_moved);
    log_.warning("recording stays in the spool directory reason={}", moved.error().message);
  }
}

void Recorder::break_off(RecordingJob& job, const std::string& reason) {
  if (job.state.load(std::memory_order_relaxed) != Recording::State::running) return;
  for (const auto* writer : {&job.rtp_writer, &job.rtcp_writer}) {
    const uint64_t lost = *writer ? (*writer)->lost() : 0;
    job.packets.add(0 - lost);
    job.missing.fetch_add(lost, std::memory_order_relaxed);
    counters_[static_cast<size_t>(RecordCounter::packets)].fetch_sub(lost,
                                                                     std::memory_order_relaxed);
    count(RecordCounter::after_failure, lost);
  }
  count(RecordCounter::broken_off);
  log_.warning("recording broken off file={} packets={} reason={}", quoted(job.files.rtp),
               job.packets.get(), reason);
  job.reason = reason;
  job.state.store(Recording::State::broken_off, std::memory_order_release);
}

// What is recorded can be looked at while it goes on, and a crash costs a second.
void Recorder::every_second() {
  const Instant now = steady_now();
  if (now - last_second_ < kSecond) return;
  last_second_ = now;
  for (const auto& job : jobs_) {
    for (const auto* writer : {&job->rtp_writer, &job->rtcp_writer}) {
      if (!*writer) continue;
      const auto flushed = (*writer)->flush();
      if (!flushed) break_off(*job, flushed.error().message);
    }
  }
  const uint64_t overrun = count_of(RecordCounter::queue_full);
  if (overrun == overrun_reported_) return;
  log_.warning("recordings miss packets, the disk is slower than the calls packets={}",
               overrun - overrun_reported_);
  overrun_reported_ = overrun;
}

}  // namespace relay
