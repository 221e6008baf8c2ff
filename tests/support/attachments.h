// Taps, transforms and sources that note what they are asked.
#pragma once

#include <atomic>
#include <cstddef>
#include <vector>

#include "relay/flow/source.h"
#include "relay/flow/tap.h"
#include "relay/flow/transform.h"
#include "tests/support/packet_builder.h"

namespace relay::testing {

class CountingTap final : public Tap {
 public:
  explicit CountingTap(TapAnswer answer = TapAnswer::relay, std::atomic<int>* alive = nullptr)
      : answer_(answer), alive_(alive) {
    if (alive_ != nullptr) ++*alive_;
  }
  ~CountingTap() override {
    if (alive_ != nullptr) --*alive_;
  }
  TapAnswer offer(const TappedPacket& packet) override {
    offered.fetch_add(1);
    replaced.fetch_add(packet.replaced ? 1 : 0);
    last_bytes.store(packet.bytes.size());
    last_local_port.store(packet.local.port);
    return answer_;
  }
  bool wants(PacketKind kind) const override { return kind == PacketKind::rtp; }
  bool may_consume() const override { return answer_ == TapAnswer::consume; }
  const char* name() const override { return "counting"; }

  std::atomic<uint64_t> offered{0}, replaced{0}, last_bytes{0};
  std::atomic<uint16_t> last_local_port{0};

 private:
  const TapAnswer answer_;
  std::atomic<int>* alive_;
};

// Every packet leaves `times` times.
class RepeatingTransform final : public Transform {
 public:
  explicit RepeatingTransform(int times) : times_(times) {}
  bool on_packet(Bytes packet, Instant, PacketSink& sink) override {
    for (int i = 0; i < times_; ++i) sink.emit(packet);
    return true;
  }
  Instant on_time(Instant, PacketSink&) override { return Instant::max(); }
  void finish(PacketSink&) override {}
  SequenceShift shift() const override { return {}; }

 private:
  const int times_;
};

// Keeps each packet until the next one or `wait` after it, and numbers what leaves one higher.
class WaitingTransform final : public Transform {
 public:
  explicit WaitingTransform(Duration wait) : wait_(wait) {}
  bool on_packet(Bytes packet, Instant now, PacketSink& sink) override {
    let_go(sink);
    waiting_.assign(packet.begin(), packet.end());
    waiting_[3] = static_cast<std::byte>(byte_at(waiting_, 3) + 1);
    due_ = now + wait_;
    return true;
  }
  Instant on_time(Instant now, PacketSink& sink) override {
    if (now >= due_) let_go(sink);
    return waiting_.empty() ? now + wait_ : due_;
  }
  void finish(PacketSink& sink) override { let_go(sink); }
  SequenceShift shift() const override { return {0x11111111, 1}; }

 private:
  void let_go(PacketSink& sink) {
    if (!waiting_.empty()) sink.emit(waiting_);
    waiting_.clear();
  }
  const Duration wait_;
  Packet waiting_;
  Instant due_{};
};

// Sends `packets` packets, `interval` apart, and lets nothing of the other party through meanwhile.
// Whatever it lets through afterwards is shifted by what it has sent.
class PacketSource final : public Source {
 public:
  PacketSource(int packets, Duration interval) : left_(packets), interval_(interval) {}
  void start(const RtpStreamState& other, SequenceShift& shift, Instant) override {
    shift_ = &shift;
    shift.ssrc = other.ssrc_last;
    started.fetch_add(1);
  }
  Instant play(Instant now, SourceOutput& output) override {
    if (left_ == 0) return Instant::max();
    --left_;
    ++shift_->offset;
    output.emit(Component::rtp, rtp_packet({.sequence = 900, .ssrc = 0x77777777}));
    return left_ == 0 ? Instant::max() : now + interval_;
  }
  Bytes instead_of(PacketKind, Bytes packet, Instant, std::span<std::byte>) override {
    return left_ == 0 ? packet : Bytes{};
  }
  const char* name() const override { return "packets"; }

  std::atomic<int> started{0};

 private:
  int left_;
  const Duration interval_;
  SequenceShift* shift_ = nullptr;
};

}  // namespace relay::testing
