#include "relay/control/stdio_channel.h"

#include <fcntl.h>
#include <sys/epoll.h>

#include <cerrno>

#include "relay/base/unique_fd.h"

namespace relay {

namespace {

int make_non_blocking(int fd) {
  const int flags = ::fcntl(fd, F_GETFL);
  if (flags >= 0) ::fcntl(fd, F_SETFL, flags | O_NONBLOCK);
  return flags;
}

bool epoll_refuses(int fd) {
  const UniqueFd probe(::epoll_create1(EPOLL_CLOEXEC));
  epoll_event event{};
  return probe && ::epoll_ctl(probe.get(), EPOLL_CTL_ADD, fd, &event) != 0 && errno == EPERM;
}

}  // namespace

StdioChannel::StdioChannel(EventLoop& loop, int input, int output, CommandExecutor& executor,
                           ControlCounters& counters, const Clock& clock,
                           std::function<void()> on_end_of_input)
    : input_(input),
      output_(output),
      input_flags_(make_non_blocking(input)),
      output_flags_(make_non_blocking(output)) {
  CommandStream::Settings settings;
  settings.input = input;
  settings.output = output;
  settings.input_always_ready = epoll_refuses(input);
  settings.on_closed = std::move(on_end_of_input);
  stream_ = std::make_unique<CommandStream>(loop, std::move(settings), executor, counters, clock);
  stream_->start();
}

StdioChannel::~StdioChannel() {
  stream_.reset();
  // Reverse order: input and output may be one open file (a terminal), and the input's flags were
  // read before anything was changed.
  if (output_flags_ >= 0) ::fcntl(output_, F_SETFL, output_flags_);
  if (input_flags_ >= 0) ::fcntl(input_, F_SETFL, input_flags_);
}

}  // namespace relay
