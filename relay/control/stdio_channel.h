// Commands on standard input, replies on standard output. Control thread only.
#pragma once

#include <functional>
#include <memory>

#include "relay/control/command_stream.h"

namespace relay {

class StdioChannel {
 public:
  // The descriptors are made non-blocking and get their flags back in the end; they stay open.
  // `on_end_of_input` runs once, when every command has been executed and its reply written (or
  // nobody is there to take it). No deadlines here: the other end may be a person.
  StdioChannel(EventLoop& loop, int input, int output, CommandExecutor& executor,
               ControlCounters& counters, const Clock& clock,
               std::function<void()> on_end_of_input);
  ~StdioChannel();
  StdioChannel(const StdioChannel&) = delete;
  StdioChannel& operator=(const StdioChannel&) = delete;

 private:
  int input_, output_;
  int input_flags_, output_flags_;  // as found; negative: not an open descriptor
  std::unique_ptr<CommandStream> stream_;
};

}  // namespace relay
