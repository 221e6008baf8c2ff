// Asks a relay commands over its control socket and waits for the replies without blocking the
// loop. Loop thread only.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "relay/base/clock.h"
#include "relay/base/result.h"
#include "tools/common/control_address.h"
#include "tools/common/event_loop.h"

namespace relay::tools {

struct Answer {
  std::string reply;   // without cookie and without the last line end
  Duration latency{};  // from the first transmission
  int transmissions = 1;
};

struct ControlClientSettings {
  // Datagrams: sent this often in all, this far apart, always with the same cookie, as SIP proxies
  // do. Streams: one attempt that may take the whole of that time.
  int attempts = 5;
  Duration retry_after = std::chrono::seconds(1);

  Duration patience() const { return retry_after * attempts; }
};

class ControlClient {
 public:
  using Done = std::function<void(Result<Answer>)>;
  virtual ~ControlClient() = default;
  // `done` is called exactly once, from the loop and not from inside ask(), unless the client is
  // destroyed first. An error means that no reply came.
  virtual void ask(std::string command, Done done) = 0;
};

// Opens nothing but a local socket: that nobody listens shows in the first answer.
Result<std::unique_ptr<ControlClient>> open_control_client(EventLoop& loop,
                                                           const ControlAddress& address,
                                                           ControlClientSettings settings = {});

// Runs `loop` until this one command is answered.
Result<Answer> ask_and_wait(EventLoop& loop, ControlClient& client, std::string command);

}  // namespace relay::tools
