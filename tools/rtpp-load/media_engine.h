// Sends and judges the media of all calls. Threads of its own, each with a share of the calls; the
// way of a packet is in media_thread.cc.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "relay/base/clock.h"
#include "tools/rtpp-load/histogram.h"
#include "tools/rtpp-load/media_profile.h"
#include "tools/rtpp-load/phone.h"

namespace relay::tools {

struct MediaSettings {
  uint32_t run = 0;  // distinguishes our packets from those of another run
  uint32_t calls = 0;
  int threads = 1;
  MediaProfile profile = MediaProfile::g711;
  int ptime_ms = 20;
  int payload_bytes = 160;
  bool rtcp = false;
  // The first turns of each stream, which are not counted for loss: behind NAT they are lost until
  // the relay has learnt where the other phone is.
  uint32_t warm_up_turns = 0;
};

// RTP and RTCP together, both directions.
struct MediaCounters {
  uint64_t sent = 0;       // warm-up included, as in `arrived`
  uint64_t arrived = 0;    // every packet of ours, duplicates and misdelivered ones included
  uint64_t expected = 0;   // sent and counted for loss
  uint64_t delivered = 0;  // of those, arrived where they should
  uint64_t reordered = 0;  // delivered behind a later one
  uint64_t duplicated = 0;
  uint64_t misdelivered = 0;  // another call's, or the wrong party's
  uint64_t wrong_source = 0;  // arrived, but not from where the phone sends to
  uint64_t foreign = 0;       // not our packets at all
  uint64_t send_errors = 0;   // the kernel did not take it; never counted as sent

  uint64_t lost() const { return expected > delivered ? expected - delivered : 0; }
  void add(const MediaCounters& other);
};

// Of the time since measure_times().
struct MediaTimes {
  Histogram one_way_delay;  // from sendto() to the kernel's receive stamp
  // Between a packet's delay and that of the one before it in its stream: the jitter that was
  // added.
  Histogram delay_variation;
  Histogram send_lateness;  // of our own schedule: how late the generator itself was
};

class MediaThread;

class MediaEngine {
 public:
  explicit MediaEngine(const MediaSettings& settings);
  ~MediaEngine();

  // Control thread. `call` outlives the engine; between two of these its phones are not changed.
  // The phones start to send at once, also those of a call that was stopped, where it now is.
  void start_call(Call& call) { give(call, Change::start); }
  // They send nothing more; what arrives is still judged.
  void stop_call(Call& call) { give(call, Change::stop); }
  // Phone A goes on with its new sockets and still hears its old ones.
  void move_call(Call& call) { give(call, Change::move); }
  void measure_times();
  // No packet is sent any more; what arrives is still judged.
  void stop_sending();
  // Ends the threads after a last look at every socket.
  void finish();

  // Any time; complete after finish().
  MediaCounters counters() const;
  // After finish().
  MediaTimes times() const;

 private:
  enum class Change : uint8_t { start, stop, move };
  friend class MediaThread;
  void give(Call& call, Change change);

  std::vector<std::unique_ptr<MediaThread>> threads_;
};

}  // namespace relay::tools
