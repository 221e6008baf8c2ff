// An imagined network in virtual time: events in a queue, links that lose, delay, reorder and
// duplicate, all decided by one seed.
#pragma once

#include <cstdint>
#include <functional>
#include <queue>
#include <random>
#include <unordered_map>
#include <vector>

#include "relay/base/clock.h"
#include "relay/base/endpoint.h"
#include "tests/support/packet_builder.h"

namespace relay::testing {

// The same numbers with every standard library, unlike the distributions of <random>.
class SimRandom {
 public:
  explicit SimRandom(uint64_t seed) : engine_(seed) {}
  uint64_t below(uint64_t bound) { return engine_() % bound; }
  bool chance(double probability) {
    return static_cast<double>(engine_() >> 11) < probability * 9007199254740992.0;  // 2^53
  }
  Duration between(Duration low, Duration high) {
    return low +
           Duration(static_cast<int64_t>(below(static_cast<uint64_t>((high - low).count()) + 1)));
  }

 private:
  std::mt19937_64 engine_;
};

// What is due when; at one instant in the order it was asked for.
class SimQueue {
 public:
  explicit SimQueue(Instant now) : now_(now) {}
  Instant now() const { return now_; }
  bool empty() const { return events_.empty(); }
  Instant next() const { return events_.top().at; }
  void after(Duration delay, std::function<void()> action) {
    events_.push({now_ + delay, ++sequence_, std::move(action)});
  }
  // Requires: !empty().
  void run_next();

 private:
  struct Event {
    Instant at;
    uint64_t sequence;
    std::function<void()> action;
    bool operator<(const Event& other) const {
      return at != other.at ? at > other.at : sequence > other.sequence;
    }
  };
  Instant now_;
  uint64_t sequence_ = 0;
  std::priority_queue<Event> events_;
};

struct LinkQuality {
  double loss = 0.01;
  double duplication = 0.005;
  Duration delay_min = std::chrono::milliseconds(5);
  Duration delay_max = std::chrono::milliseconds(30);  // more than 20 ms apart: packets overtake
};

class SimNetwork {
 public:
  using Receiver =
      std::function<void(const Endpoint& source, const Endpoint& destination, const Packet&)>;

  SimNetwork(SimQueue& queue, SimRandom& random, const LinkQuality& quality)
      : queue_(queue), random_(random), quality_(quality) {}

  void attach(const IpAddress& host, Receiver receiver) { hosts_[host] = std::move(receiver); }
  // Packets to an address that nobody has are lost.
  void send(const Endpoint& source, const Endpoint& destination, const Packet& packet);

 private:
  void carry(const Endpoint& source, const Endpoint& destination, const Packet& packet);

  SimQueue& queue_;
  SimRandom& random_;
  const LinkQuality quality_;
  std::unordered_map<IpAddress, Receiver> hosts_;
};

}  // namespace relay::testing
