#include "tools/common/control_client.h"

#include "tools/common/control_clients.h"

namespace relay::tools {

Result<std::unique_ptr<ControlClient>> open_control_client(EventLoop& loop,
                                                           const ControlAddress& address,
                                                           ControlClientSettings settings) {
  switch (address.kind) {
    case ControlAddress::Kind::udp:
      return open_datagram_client(loop, address, settings);
    case ControlAddress::Kind::unix_one:
      return open_one_shot_client(loop, address, settings);
    case ControlAddress::Kind::unix_many:
    case ControlAddress::Kind::tcp:
      return open_line_client(loop, address, settings);
  }
  return fail("unknown kind of control socket");
}

Result<Answer> ask_and_wait(EventLoop& loop, ControlClient& client, std::string command) {
  Result<Answer> result = fail("not asked");
  client.ask(std::move(command), [&](Result<Answer> answer) {
    result = std::move(answer);
    loop.stop();
  });
  loop.run();
  return result;
}

}  // namespace relay::tools
