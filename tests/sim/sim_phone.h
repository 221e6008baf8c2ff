// A phone behind a NAT: talks every 20 ms, reports every five seconds, remembers what it heard.
// The payload of its packets says who sent them.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "tests/support/sim_nat.h"

namespace relay::testing {

enum class Side : uint8_t { caller, callee, stranger };

// Who sent a packet, as its payload tells.
struct Mark {
  uint32_t call = 0;
  Side side = Side::stranger;
};
Packet marked_rtp(const Mark& mark, uint32_t ssrc, uint16_t sequence);
std::optional<Mark> mark_of(const Packet& packet);  // RTP only

class SimPhone {
 public:
  // Told of a packet that none but the other party of its call may have sent, and did not.
  using OnForeign = std::function<void(const SimPhone& phone, const Mark& mark)>;

  SimPhone(SimQueue& queue, const Mark& mark, uint32_t ssrc, OnForeign on_foreign)
      : queue_(queue), mark_(mark), ssrc_(ssrc), on_foreign_(std::move(on_foreign)) {}
  ~SimPhone() { leave(); }
  SimPhone(const SimPhone&) = delete;
  SimPhone& operator=(const SimPhone&) = delete;

  // From now on it is behind that NAT; a new stream starts if `new_stream`.
  void move_to(SimNat& nat, const Endpoint& inside, bool new_stream);
  void talk_to(const Endpoint& remote);
  void start();
  void stop() {
    ++turn_;
    talking_ = false;
  }

  const Mark& mark() const { return mark_; }
  SimNat& nat() { return *nat_; }
  const Endpoint& inside() const { return inside_; }
  bool talking() const { return talking_ && remote_; }
  Instant last_heard() const { return last_heard_; }
  uint64_t heard() const { return heard_; }

 private:
  void leave();
  void tick(uint64_t turn);
  void hear(const Packet& packet);

  SimQueue& queue_;
  const Mark mark_;
  uint32_t ssrc_;
  const OnForeign on_foreign_;
  SimNat* nat_ = nullptr;
  Endpoint inside_;
  std::optional<Endpoint> remote_;
  bool talking_ = false;
  uint64_t turn_ = 0;           // ticks of an earlier one are void
  uint16_t sequence_ = 65'500;  // wraps soon
  uint32_t sent_ = 0;
  Instant last_heard_{};
  uint64_t heard_ = 0;
};

}  // namespace relay::testing
