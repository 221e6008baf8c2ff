// One stream to a relay, Unix or TCP. Private to tools/common.
#pragma once

#include <string>
#include <string_view>

#include "tools/common/control_address.h"
#include "tools/common/event_loop.h"

struct uv_stream_s;

namespace relay::tools {

// Either call may destroy the connection.
class StreamObserver {
 public:
  virtual ~StreamObserver() = default;
  virtual void stream_received(std::string_view bytes) = 0;
  // At most once, and nothing after it. `why` is the error's text or "connection closed".
  virtual void stream_ended(const std::string& why) = 0;
};

class StreamConnection {
 public:
  // Connects in the background; failure is a stream_ended(). `resolved` matters for TCP only.
  StreamConnection(EventLoop& loop, const ControlAddress& address, const Endpoint& resolved,
                   StreamObserver& observer);
  ~StreamConnection();
  StreamConnection(const StreamConnection&) = delete;
  StreamConnection& operator=(const StreamConnection&) = delete;

  // May be called before the connection is up.
  void write(std::string bytes);

  StreamObserver& observer() { return observer_; }

 private:
  uv_stream_s* stream_;
  StreamObserver& observer_;
};

}  // namespace relay::tools
