// Modifier z: audio of a party in packets of another length. Knows PCMU, PCMA, G.722, GSM, G.729
// and G.723 by their static payload types; everything else passes, unchanged but for its place in
// the sequence. Called by one thread at a time; allocates when it is made and never again.
#pragma once

#include <cstdint>
#include <vector>

#include "relay/flow/transform.h"
#include "relay/rtp/rtp_header.h"

namespace relay {

class Repacketiser final : public Transform {
 public:
  // 1..999, raised to what the codec's frames allow: 10 ms, GSM 20, G.723 30.
  explicit Repacketiser(int ptime_ms);

  bool on_packet(Bytes packet, Instant now, PacketSink& sink) override;
  Instant on_time(Instant now, PacketSink& sink) override;
  void finish(PacketSink& sink) override { send_all(sink); }
  SequenceShift shift() const override { return {ssrc_, offset_}; }
  int ptime_ms() const { return ptime_ms_; }

 private:
  // A packet, or what is left of it, in the queue.
  struct Part {
    uint32_t timestamp = 0;
    uint32_t samples = 0;  // timestamp units
    uint32_t bytes = 0;
    uint16_t sequence = 0;
    uint8_t payload_type = 0;
    bool marker = false;
    bool is_last = false;  // silence begins behind it: nothing may follow in the same packet
    Instant arrival{};
  };
  // What one packet can take from the front of the queue.
  struct Run {
    size_t whole_parts = 0;
    uint32_t samples = 0, bytes = 0;
    uint32_t part_samples = 0, part_bytes = 0;  // of the part behind the whole ones
    bool marker = false;
  };

  void begin(const RtpView& packet);
  bool is_out_of_place(const RtpView& packet);
  void advance(uint16_t newest);
  bool pass(Bytes packet, const RtpView& view, PacketSink& sink);
  bool enqueue(const RtpView& packet, uint32_t samples, bool is_last, Instant now);
  bool is_ready(Instant now) const;
  Run front_run() const;
  void send_front(PacketSink& sink);
  void send_all(PacketSink& sink);
  void take_off(const Run& run);
  uint32_t target_samples(uint8_t payload_type) const;

  const int ptime_ms_;
  const Duration wait_at_most_;
  bool started_ = false;
  uint32_t ssrc_ = 0;
  uint16_t newest_ = 0;            // sequence number that came
  uint16_t restart_ = 0;           // what the next packet has if the sender has started anew
  uint16_t offset_ = 0;            // of sequence numbers, out minus in
  uint16_t offset_since_ = 0;      // the first that came to which it applies; at most 100 back
  bool sent_known_ = false;        // the next one
  uint32_t sent_until_ = 0;        // timestamp behind the last sample that has left
  uint32_t newest_timestamp_ = 0;  // of those that came
  uint32_t queued_samples_ = 0;
  size_t queued_bytes_ = 0;
  std::vector<Part> parts_;       // by timestamp
  std::vector<std::byte> bytes_;  // room for a header, then the payloads of `parts_` in order
};

}  // namespace relay
