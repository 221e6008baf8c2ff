#include "tests/support/sim_network.h"

namespace relay::testing {

void SimQueue::run_next() {
  Event event = std::move(const_cast<Event&>(events_.top()));  // popped at once
  events_.pop();
  now_ = event.at;
  event.action();
}

void SimNetwork::send(const Endpoint& source, const Endpoint& destination, const Packet& packet) {
  if (random_.chance(quality_.duplication)) carry(source, destination, packet);
  if (!random_.chance(quality_.loss)) carry(source, destination, packet);
}

void SimNetwork::carry(const Endpoint& source, const Endpoint& destination, const Packet& packet) {
  queue_.after(random_.between(quality_.delay_min, quality_.delay_max),
               [this, source, destination, packet] {
                 const auto host = hosts_.find(destination.address);
                 if (host != hosts_.end()) host->second(source, destination, packet);
               });
}

}  // namespace relay::testing
