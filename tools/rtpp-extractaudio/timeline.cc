#include "tools/rtpp-extractaudio/timeline.h"

#include <algorithm>
#include <limits>

#include "relay/rtp/rtp_header.h"

namespace relay::tools {
namespace {

constexpr int64_t kSecond = kTimelineRateHz;  // in samples
// What makes a sender's timestamps a new stretch: they ran ahead of the clock (a restart), or fell
// behind it for good (a pause that they do not count). Packets that were held up and then came in
// a burst are behind only for a while.
constexpr int64_t kAheadMax = 5 * kSecond;
constexpr int64_t kBehindMax = kSecond;
constexpr size_t kBurstPackets = 150;
// Further from the highest sequence number is a restart, too; as the analyser has it.
constexpr int kSequenceDistanceMax = 536;
// Longer silences come from clocks that were set while recording; none is inserted for them.
constexpr int64_t kSilenceMax = 12 * 3600 * kSecond;

constexpr uint8_t kComfortNoise = 13, kOldComfortNoise = 19;
constexpr uint8_t kUsualEvents[] = {100, 101};

bool is_no_audio(uint8_t payload_type) {
  return payload_type == kComfortNoise || payload_type == kOldComfortNoise ||
         std::find(std::begin(kUsualEvents), std::end(kUsualEvents), payload_type) !=
             std::end(kUsualEvents);
}

int64_t samples_of(int64_t ns) {
  constexpr int64_t kNsPerSample = 1'000'000'000 / kTimelineRateHz;
  return (ns + (ns >= 0 ? kNsPerSample : -kNsPerSample) / 2) / kNsPerSample;
}

// A packet with audio, of one SSRC.
struct Item {
  uint32_t index = 0;
  uint16_t sequence = 0;
  uint32_t timestamp = 0;
  int64_t arrival_ns = 0;
  AudioCodec codec{};
};

// Cuts the packets of one SSRC, in the order of their arrival, into stretches.
class Cutter {
 public:
  Cutter(uint32_t ssrc, const std::vector<Item>& items, Timeline& timeline)
      : ssrc_(ssrc), items_(items), timeline_(timeline) {}

  void run() {
    for (size_t i = 0; i < items_.size(); ++i) {
      if (i == 0 || !goes_on(i)) start(items_[i]);
      append(items_[i]);
    }
  }

 private:
  void start(const Item& item) {
    Stretch& stretch = timeline_.stretches.emplace_back();
    stretch.ssrc = ssrc_;
    stretch.arrival_ns = item.arrival_ns;
    highest_ = item.sequence;
    timestamp_ = item.timestamp;
    at_ = least_lag_ = 0;
  }

  void append(const Item& item) {
    const int64_t sequence = highest_ + sequence_step(item);
    const int64_t at = position(item);
    timeline_.stretches.back().packets.push_back({item.index, sequence, at, item.codec});
    least_lag_ = std::min(least_lag_, lag(item));
    if (sequence <= highest_) return;
    highest_ = sequence;
    timestamp_ = item.timestamp;
    at_ = at;
  }

  bool goes_on(size_t i) const {
    const Item& item = items_[i];
    const int sequence = sequence_step(item);
    if (sequence > kSequenceDistanceMax || sequence < -kSequenceDistanceMax) return false;
    const int64_t timestamp = position(item) - at_;
    if (sequence <= 0) return timestamp <= 0 && timestamp >= -kAheadMax;
    if (timestamp < 0 || timestamp > kSilenceMax) return false;
    if (lag(item) < -kAheadMax) return false;
    return lag(item) <= least_lag_ + kBehindMax || !stays_behind(i);
  }

  bool stays_behind(size_t i) const {
    const size_t end = std::min(items_.size(), i + kBurstPackets);
    for (size_t j = i + 1; j < end; ++j) {
      if (lag(items_[j]) <= least_lag_ + kBehindMax / 2) return false;
    }
    return true;
  }

  int sequence_step(const Item& item) const {
    return static_cast<int16_t>(
        static_cast<uint16_t>(item.sequence - static_cast<uint16_t>(highest_ & 0xFFFF)));
  }
  // In the stretch, from its first packet to arrive.
  int64_t position(const Item& item) const {
    return at_ + static_cast<int32_t>(item.timestamp - timestamp_);
  }
  // How much later than its timestamp says it arrived, compared with that packet.
  int64_t lag(const Item& item) const {
    return samples_of(item.arrival_ns - timeline_.stretches.back().arrival_ns) - position(item);
  }

  uint32_t ssrc_;
  const std::vector<Item>& items_;
  Timeline& timeline_;
  int64_t highest_ = 0;     // sequence number of this stretch, without wraps,
  uint32_t timestamp_ = 0;  // and what it came with
  int64_t at_ = 0;
  int64_t least_lag_ = 0;
};

// Sorts, drops repeated packets, lets positions start at 0 and measures.
void settle(Stretch& stretch, const Capture& capture) {
  auto& packets = stretch.packets;
  std::stable_sort(packets.begin(), packets.end(), [](const TimedPacket& a, const TimedPacket& b) {
    return a.extended < b.extended;
  });
  packets.erase(std::unique(packets.begin(), packets.end(),
                            [](const TimedPacket& a, const TimedPacket& b) {
                              return a.extended == b.extended;
                            }),
                packets.end());
  int64_t lowest = 0;
  for (const TimedPacket& packet : packets) lowest = std::min(lowest, packet.at);
  stretch.arrival_ns += lowest * (1'000'000'000 / kTimelineRateHz);
  for (TimedPacket& packet : packets) {
    packet.at -= lowest;
    const auto view = RtpView::parse(capture.packet(packet.index));
    const size_t samples = samples_in(packet.codec, view ? view->payload().size() : 0);
    stretch.length = std::max(stretch.length, packet.at + static_cast<int64_t>(samples));
  }
}

}  // namespace

size_t samples_in(AudioCodec codec, size_t bytes) {
  const CodecTraits& traits = traits_of(codec);
  const size_t unit_samples = size_t{traits.unit_ms} * kTimelineRateHz / 1000;
  if (traits.unit_ms == 1) return bytes * unit_samples / traits.unit_bytes;
  size_t units = bytes / traits.unit_bytes;
  // The last frame of G.729 may be a two-byte one, of comfort noise.
  if (codec == AudioCodec::g729 && bytes % traits.unit_bytes == 2) ++units;
  return units * unit_samples;
}

int64_t Timeline::end() const {
  int64_t end = 0;
  for (const Stretch& stretch : stretches) end = std::max(end, stretch.start + stretch.length);
  return end;
}

Timeline make_timeline(const Capture& capture) {
  Timeline timeline;
  std::map<uint32_t, std::vector<Item>> by_ssrc;
  for (size_t i = 0; i < capture.size(); ++i) {
    const auto view = RtpView::parse(capture.packet(i));
    if (!view || view->payload().empty() || is_no_audio(view->payload_type())) continue;
    const auto codec = codec_of_payload_type(view->payload_type());
    if (codec && can_transcode(*codec)) {
      by_ssrc[view->ssrc()].push_back({static_cast<uint32_t>(i), view->sequence(),
                                       view->timestamp(), capture.arrival_ns(i), *codec});
    } else {
      ++timeline.undecoded_packets[view->payload_type()];
    }
  }
  for (const auto& [ssrc, items] : by_ssrc) Cutter(ssrc, items, timeline).run();
  for (Stretch& stretch : timeline.stretches) settle(stretch, capture);
  std::stable_sort(timeline.stretches.begin(), timeline.stretches.end(),
                   [](const Stretch& a, const Stretch& b) { return a.arrival_ns < b.arrival_ns; });
  return timeline;
}

void place(std::vector<Timeline*> sides, bool synchronised) {
  int64_t zero_ns = std::numeric_limits<int64_t>::max();
  for (const Timeline* side : sides) {
    if (!side->stretches.empty()) zero_ns = std::min(zero_ns, side->stretches[0].arrival_ns);
  }
  for (Timeline* side : sides) {
    int64_t side_end = 0;
    std::map<uint32_t, int64_t> ssrc_end;
    for (Stretch& stretch : side->stretches) {
      int64_t& end = ssrc_end[stretch.ssrc];
      stretch.start = side_end;
      if (synchronised) {
        // One sender's speech does not overlap itself, however late its packets were; but who sends
        // more time than passes cannot push the end away for ever.
        const int64_t arrived = samples_of(stretch.arrival_ns - zero_ns);
        const int64_t start = std::clamp(end, arrived, arrived + kAheadMax);
        if (start <= side_end + kSilenceMax) stretch.start = start;
      }
      end = stretch.start + stretch.length;
      side_end = std::max(side_end, end);
    }
  }
}

}  // namespace relay::tools
