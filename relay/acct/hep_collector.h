// The connection to one collector: datagrams, or a stream that is opened again, more and more
// patiently, when it fails. Nothing here waits. One thread.
#pragma once

#include <cstdint>
#include <deque>
#include <string>

#include "relay/base/clock.h"
#include "relay/base/endpoint.h"
#include "relay/base/log.h"
#include "relay/base/result.h"
#include "relay/base/unique_fd.h"

namespace relay {

struct HepCollectorSettings {
  bool tcp = false;
  Endpoint endpoint;
  uint32_t capture_id = 0;
};

class HepCollector {
 public:
  explicit HepCollector(const HepCollectorSettings& settings) : settings_(settings) {}

  const HepCollectorSettings& settings() const { return settings_; }
  // False: it is lost. True of a stream means that it will be sent, if the collector takes it.
  bool send(std::string packet, Instant now);
  // Connects, and sends what waits for a stream. To be called now and then.
  void advance(Instant now);
  // Packets that wait for a stream. When a collector hangs up, the one it has a part of is sent
  // again.
  size_t waiting() const { return unsent_.size(); }
  static constexpr size_t kWaitingBytesMax = 1 << 20;
  static constexpr Duration kRetryFirst = std::chrono::seconds(1);
  static constexpr Duration kRetryAtMost = std::chrono::seconds(30);

 private:
  bool connect(Instant now);
  void check_connected(Instant now);
  void write_waiting(Instant now);
  void discard_answers(Instant now);
  void failed(Instant now, int error_number);

  const HepCollectorSettings settings_;
  UniqueFd fd_;
  bool connected_ = false;  // else connecting, or waiting for retry_at_
  Instant retry_at_{};
  Duration retry_after_ = kRetryFirst;
  std::deque<std::string> unsent_;  // streams only
  size_t unsent_bytes_ = 0;         // of all of unsent_, also what has been sent of the first
  size_t first_sent_bytes_ = 0;     // of the first
  LogLimit failures_{1};
};

}  // namespace relay
