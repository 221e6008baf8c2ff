#include "relay/control/command_stream.h"

#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace relay {

namespace {

// A line of 8191 bytes and its LF; also the longest one-shot command.
constexpr size_t kLineBytesMax = 8192;
constexpr size_t kOneShotBytesMax = 8191;
// Other clients get their turn after this many.
constexpr int kReadsPerWakeUp = 8;

std::string_view without_line_end(std::string_view text) {
  while (!text.empty() && (text.back() == '\n' || text.back() == '\r')) text.remove_suffix(1);
  return text;
}

}  // namespace

CommandStream::CommandStream(EventLoop& loop, Settings settings, CommandExecutor& executor,
                             ControlCounters& counters, const Clock& clock)
    : settings_(std::move(settings)),
      executor_(executor),
      counters_(counters),
      clock_(clock),
      buffer_(settings_.framing == StreamFraming::one_shot ? kOneShotBytesMax : kLineBytesMax),
      readable_(loop, settings_.input, FdReady::readable, [this] { on_readable(); }),
      writable_(loop, settings_.output, FdReady::writable, [this] { advance(); }),
      always_readable_(loop, [this] { on_readable(); }) {}

void CommandStream::start() {
  if (settings_.framing == StreamFraming::one_shot) command_since_ = clock_.now();
  wait_for_peer(false);
}

void CommandStream::sweep(Instant now) {
  if (command_since_ && now - *command_since_ >= settings_.limits.command_deadline) {
    ++counters_.connections_timed_out;
    finish();
  } else if (stalled_since_ && now - *stalled_since_ >= settings_.limits.output_deadline) {
    ++counters_.outputs_stalled;
    finish();
  }
}

void CommandStream::on_readable() {
  for (int reads = 0; reads < kReadsPerWakeUp && reading_; ++reads) {
    const ssize_t got = ::read(settings_.input, buffer_.data() + end_, buffer_.size() - end_);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 && errno == EAGAIN) break;
    if (got > 0) {
      end_ += static_cast<size_t>(got);
    } else {
      input_ended_ = true;  // an error on the descriptor is the end of it, too
    }
    if (!advance()) return;
  }
}

bool CommandStream::advance() {
  bool commands_left = false;
  do {
    commands_left = execute_buffered();
    if (!flush()) return finish();
  } while (commands_left && unsent() == 0);
  if (!commands_left && buffered() == buffer_.size()) {
    ++counters_.lines_too_long;
    return finish();
  }
  if (unsent() == 0 && (input_ended_ || answered_)) return finish();
  wait_for_peer(commands_left);
  return true;
}

bool CommandStream::execute_buffered() {
  if (settings_.framing == StreamFraming::one_shot) {
    execute_one_shot();
    return false;
  }
  bool commands_left = false;
  while (const void* found = std::memchr(buffer_.data() + begin_, '\n', buffered())) {
    if (unsent() >= settings_.limits.output_bytes) {
      commands_left = true;
      break;
    }
    const char* const line = buffer_.data() + begin_;
    const auto length = static_cast<size_t>(static_cast<const char*>(found) - line);
    begin_ += length + 1;
    command_since_.reset();
    used_ = true;
    output_ += executor_.execute(without_line_end({line, length}), settings_.origin);
  }
  if (begin_ > 0) {
    std::memmove(buffer_.data(), buffer_.data() + begin_, buffered());
    end_ -= begin_;
    begin_ = 0;
  }
  if (buffered() == 0 || commands_left) {
    command_since_.reset();
  } else if (!command_since_) {
    command_since_ = clock_.now();
  }
  return commands_left;
}

void CommandStream::execute_one_shot() {
  if (answered_ || buffered() == 0) return;
  answered_ = true;
  command_since_.reset();
  const std::string_view command(buffer_.data(), buffered());
  output_ = executor_.execute(without_line_end(command), settings_.origin);
  end_ = 0;
}

// Clients read a reply with one read(2), so all there is goes out in one write where it fits.
bool CommandStream::flush() {
  while (unsent() > 0) {
    const ssize_t sent = ::write(settings_.output, output_.data() + sent_, unsent());
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0 && errno == EAGAIN) {
      if (!stalled_since_) stalled_since_ = clock_.now();
      break;
    }
    if (sent < 0) return false;
    sent_ += static_cast<size_t>(sent);
    stalled_since_.reset();
  }
  output_.erase(0, sent_);
  sent_ = 0;
  return true;
}

void CommandStream::wait_for_peer(bool commands_left) {
  reading_ =
      !input_ended_ && !answered_ && !commands_left && unsent() < settings_.limits.output_bytes;
  if (!reading_) {
    readable_.stop();
    always_readable_.stop();
  } else if (settings_.input_always_ready) {
    always_readable_.start_once(Duration::zero());
  } else {
    readable_.start();
  }
  if (unsent() > 0) {
    writable_.start();
  } else {
    writable_.stop();
  }
}

bool CommandStream::finish() {
  reading_ = false;
  command_since_.reset();
  stalled_since_.reset();
  readable_.stop();
  always_readable_.stop();
  writable_.stop();
  const auto on_closed = std::move(settings_.on_closed);  // outlives *this
  if (on_closed) on_closed();
  return false;
}

}  // namespace relay
