// Lines over a stream connection of their own, as rtpproxy's listeners read them.
//
// rtpproxy keeps one connection open and shares it. A listener that has closed its side swallows
// the first write behind that: the kernel takes the bytes and learns only later that nobody reads.
// OpenSIPS 3.2 to 3.6.6 closes after each read that ends in a complete line, so every second event
// was lost to it. So each batch gets a connection: connect, write, end our side, wait until the
// peer has ended its own. A reset instead says that the peer has not read what was written, and the
// batch stays ours.
#pragma once

#include <string>

#include "relay/base/unique_fd.h"
#include "relay/control/notify_transport.h"

namespace relay {

class LineTransport final : public NotifyTransport {
 public:
  LineTransport(EventLoop& loop, LineTarget target, const TransportTimeouts& timeouts);

  void send(std::string bytes, Done done) override;
  // OpenSIPS reads 255 bytes, and what does not fit one read may be lost to it.
  size_t batch_bytes() const override { return 255; }

 private:
  enum class Stage : uint8_t { idle, connecting, writing, closing };

  bool open();
  void on_writable();
  void write_on();
  void on_readable();
  void on_timer();
  bool wait_for_acknowledgement();
  void finish(DeliveryOutcome::Kind kind, std::string reason = {});

  EventLoop& loop_;
  const LineTarget target_;
  const TransportTimeouts timeouts_;
  Stage stage_ = Stage::idle;
  std::string bytes_;
  size_t written_ = 0;
  bool peer_ended_ = false;
  Instant close_by_{};
  DeliveryOutcome outcome_;
  Done done_;
  UniqueFd fd_;
  std::unique_ptr<FdEvent> readable_, writable_;
  Timer timer_, report_;
};

}  // namespace relay
