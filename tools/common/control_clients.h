// One constructor for each way of speaking to a control socket. Private to tools/common.
#pragma once

#include "tools/common/control_client.h"

namespace relay::tools {

Result<std::unique_ptr<ControlClient>> open_datagram_client(EventLoop& loop,
                                                            const ControlAddress& address,
                                                            ControlClientSettings settings);
// unix: a connection for each command.
std::unique_ptr<ControlClient> open_one_shot_client(EventLoop& loop, const ControlAddress& address,
                                                    ControlClientSettings settings);
// cunix, tcp: one connection for all commands, replies in the order asked.
Result<std::unique_ptr<ControlClient>> open_line_client(EventLoop& loop,
                                                        const ControlAddress& address,
                                                        ControlClientSettings settings);

}  // namespace relay::tools
