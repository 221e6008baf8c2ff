// One delivery to whoever is told something: one connection, one request. Control thread.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "relay/base/clock.h"
#include "relay/control/event_loop.h"
#include "relay/control/notify_targets.h"

namespace relay {

struct DeliveryOutcome {
  enum class Kind : uint8_t {
    delivered,
    refused,   // understood and declined; another try would be, too
    not_sent,  // the peer has seen nothing of it
    in_doubt,  // the peer may have seen it
  };
  Kind kind = Kind::delivered;
  std::string reason;  // in words; empty when delivered
};

struct TransportTimeouts {
  Duration connect = std::chrono::seconds(2);
  Duration write = std::chrono::seconds(5);
  // For the peer to close its side, once all is written.
  Duration close = std::chrono::seconds(1);
  // For the answer to a request.
  Duration answer = std::chrono::seconds(5);
};

class NotifyTransport {
 public:
  using Done = std::function<void(DeliveryOutcome)>;

  virtual ~NotifyTransport() = default;
  // One at a time. `done` is called once, from the loop and never from within send(); it may send
  // again or destroy the transport.
  virtual void send(std::string bytes, Done done) = 0;
  // How many bytes may go into one send(), when they are several lines; 0: one line at a time.
  virtual size_t batch_bytes() const = 0;
};

// The transport that fits the target. The loop outlives it.
std::unique_ptr<NotifyTransport> make_notify_transport(EventLoop& loop, const NotifyTarget& target,
                                                       const TransportTimeouts& timeouts);

}  // namespace relay
