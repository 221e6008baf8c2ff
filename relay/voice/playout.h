// What the endpoint says, on its way to a party: a queue of up to two minutes (endpoints send a
// whole answer at once), resampled and encoded shortly before it is due. Voice thread.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "relay/base/clock.h"
#include "relay/media/codec.h"
#include "relay/media/resampler.h"
#include "relay/voice/driver.h"
#include "relay/voice/media_path.h"

namespace relay {

struct PlayoutCounters {
  uint64_t frames = 0;           // given to the worker
  uint64_t dropped_samples = 0;  // the queue was full
  uint64_t underruns = 0;        // a reply's audio came later than it was due
};

class Playout {
 public:
  static constexpr Duration kQueueMax = std::chrono::seconds(120);
  static constexpr Duration kPrebufferMax = std::chrono::milliseconds(200);

  struct Settings {
    AudioCodec codec = AudioCodec::pcmu;
    uint32_t rate_hz = 8000;  // of the codec's audio
    Duration prebuffer{0};    // of a talk spurt; grows by 20 ms with each underrun
  };
  static Result<Playout> make(const Settings& settings, std::shared_ptr<VoicePath> path);

  void play_samples(Samples samples, int rate_hz);
  void play_g711(AudioFormat::Encoding encoding, Octets octets);
  void end_of_reply();
  void mark(MarkId id);
  // How much of what was given has not been spoken; zero: nothing was queued or playing.
  Duration clear();

  using OnMark = std::function<void(MarkId, MarkFate)>;
  // Adds to the endpoint's 20 ms what else is to be heard; for the policies that mix.
  using Mix = std::function<void(std::span<int16_t> frame, bool endpoint_speaks)>;
  // Keeps the worker supplied and tells of the marks that have been passed. To be called after
  // each of the above and every 20 ms.
  void pump(Instant now, const OnMark& on_mark);
  // As pump(), but makes exactly one frame, whether or not the endpoint speaks.
  void pump_mixed(Instant now, const Mix& mix, const OnMark& on_mark);

  // Is told of each frame that the worker has sent, and of the time its timestamp stands for, at
  // the next pump() or look_at_sent().
  using OnSent = std::function<void(Instant at, std::span<const int16_t> samples)>;
  void on_sent(OnSent on_sent) { on_sent_ = std::move(on_sent); }
  void look_at_sent();

  // What is queued here and at the worker.
  Duration queued() const;
  bool idle() const { return samples_.empty() && frames_ahead() == 0; }
  uint32_t rate_hz() const { return settings_.rate_hz; }
  size_t frame_samples() const { return settings_.rate_hz / 50; }
  const PlayoutCounters& counters() const { return counters_; }
  // Of the reply that is playing or was cleared last.
  Duration played_of_reply() const;

 private:
  struct Mark {
    MarkId id;
    uint64_t position;  // samples given before it, since the last clear
  };
  struct Sent {
    uint64_t position;             // samples up to and with this frame
    std::vector<int16_t> samples;  // for on_sent()
  };

  Playout(const Settings& settings, std::shared_ptr<VoicePath> path);
  Resampler* resampler_from(int rate_hz);
  void append(std::span<const int16_t> samples);
  bool send_frame(std::span<const int16_t> samples, size_t of_endpoint);
  void fill_up_what_waits(Instant now);
  bool may_begin() const;
  uint64_t frames_ahead() const;
  uint64_t spoken_position() const;
  void tell_marks(const OnMark& on_mark);

  Settings settings_;
  std::shared_ptr<VoicePath> path_;
  std::unique_ptr<AudioEncoder> encoder_;
  int from_rate_hz_ = 0;
  std::optional<Resampler> resampler_;
  std::deque<int16_t> samples_;
  uint64_t given_ = 0, framed_ = 0;  // samples since the last clear: queued ever, made frames of
  std::deque<Mark> marks_;
  std::deque<MarkId> cleared_;
  std::deque<Sent> sent_;       // frames of this epoch the worker has not taken
  uint64_t frames_pushed_ = 0;  // into the ring, ever
  uint64_t epoch_first_frame_ = 0;
  uint64_t spoken_before_ = 0;
  bool in_spurt_ = false, reply_ended_ = true;
  Duration prebuffer_{0};
  uint64_t given_when_looked_ = 0;
  Instant given_at_{};
  std::optional<Instant> dry_since_;
  uint64_t reply_began_ = 0;  // position
  OnSent on_sent_;
  PlayoutCounters counters_;
  std::array<int16_t, 1920> scratch_{};
  std::vector<int16_t> frame_;
};

}  // namespace relay
