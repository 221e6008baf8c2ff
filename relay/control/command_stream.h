// One byte stream that carries commands: an accepted connection, or standard input and output.
// Reads, cuts into commands, executes, and writes the replies in order, without ever blocking.
//
// A client that does not read its replies is not read from either (so what is kept for it is at
// most `output_bytes` and one more reply), and is closed when it has not moved for a while.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "relay/base/clock.h"
#include "relay/control/command_executor.h"
#include "relay/control/control_counters.h"
#include "relay/control/event_loop.h"

namespace relay {

enum class StreamFraming : uint8_t {
  one_shot,  // what the first read brings is the command; one reply; closed
  lines,     // commands end at LF; stays open
};

struct StreamLimits {
  size_t connections = 1024;          // of one listening socket
  size_t connections_per_peer = 256;  // of one IP address
  // From the first byte of a command to its end; for one-shot connections from their start.
  Duration command_deadline = std::chrono::seconds(30);
  Duration output_deadline = std::chrono::seconds(30);
  size_t output_bytes = size_t{64} << 10;
};

class CommandStream {
 public:
  struct Settings {
    int input = -1;   // non-blocking, not owned
    int output = -1;  // may be the same
    // The input is a regular file or the like, which epoll refuses to watch: `-s stdio: <
    // commands`.
    bool input_always_ready = false;
    StreamFraming framing = StreamFraming::lines;
    CommandOrigin origin;
    StreamLimits limits;
    std::function<void()> on_closed;  // the stream is over; may destroy it
  };

  CommandStream(EventLoop& loop, Settings settings, CommandExecutor& executor,
                ControlCounters& counters, const Clock& clock);

  void start();
  // Closes the stream when a deadline has passed; it may be gone on return.
  void sweep(Instant now);
  // A command has been executed.
  bool used() const { return used_; }

 private:
  void on_readable();
  // Does all that can be done without waiting. False: the stream is closed, perhaps destroyed.
  bool advance();
  // True when it stopped because the output is full, with commands left in the buffer.
  bool execute_buffered();
  void execute_one_shot();
  bool flush();
  void wait_for_peer(bool commands_left);
  bool finish();

  size_t buffered() const { return end_ - begin_; }
  size_t unsent() const { return output_.size() - sent_; }

  Settings settings_;
  CommandExecutor& executor_;
  ControlCounters& counters_;
  const Clock& clock_;

  std::vector<char> buffer_;
  size_t begin_ = 0, end_ = 0;
  std::string output_;
  size_t sent_ = 0;
  bool used_ = false;
  bool reading_ = false;
  bool input_ended_ = false;
  bool answered_ = false;  // one-shot: no more commands
  std::optional<Instant> command_since_, stalled_since_;

  FdEvent readable_, writable_;
  Timer always_readable_;
};

}  // namespace relay
