// What session/ asks of whatever moves packets. All calls come from the control thread.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string_view>

#include "relay/flow/decide.h"
#include "relay/flow/tap.h"

namespace relay {

// Says when a plane is done with what it was handed: sockets and groups live until then.
struct PlaneTicket {
  uint32_t plane_index = 0;
  uint64_t sequence = 0;
};

struct PlaneCounters {
  uint64_t received = 0, received_bytes = 0, forwarded = 0, punted = 0, consumed = 0;
  uint64_t transformed = 0;          // of those received, handed to a transform
  uint64_t emitted = 0, played = 0;  // besides what was received
  // Copies into other sessions, and those that could not leave.
  uint64_t forked = 0, forks_lost = 0;
  std::array<uint64_t, kDropReasons> drops{};
  uint64_t dropped() const {
    uint64_t sum = 0;
    for (const uint64_t n : drops) sum += n;
    return sum;
  }
};

// Which way a flow takes, for people.
struct FlowPath {
  bool in_kernel = false;
  std::string_view reason;  // why not in the kernel
  Instant in_kernel_since{};
  std::string_view came_back{};  // why it last came back from there; empty: never
};

class ForwardingPlane {
 public:
  virtual ~ForwardingPlane() = default;

  // Starts relaying. `group` is borrowed until the ticket of remove() has settled.
  virtual void install(FlowGroup& group, const FlowGroupSpec& spec) = 0;
  // Sockets that the new spec no longer names are unused once the ticket has settled.
  virtual PlaneTicket update(FlowGroup& group, const FlowGroupSpec& spec) = 0;
  virtual PlaneTicket remove(FlowGroup& group) = 0;
  virtual bool settled(const PlaneTicket& ticket) const = 0;

  // From cork() to uncork() the plane's threads need not hear of a call; then they do of all at
  // once. A burst of commands wakes each thread once so. Who waits for a ticket calls uncork().
  virtual void cork() {}
  virtual void uncork() {}

  // Calls want descriptors: closes, soon, some of those that it opened to be faster. False: it has
  // none left.
  virtual bool spare_descriptors() { return false; }

  // Hand a leg's RTP analysis out, and take it back after another plane has carried it on. The
  // state outlives the ticket.
  virtual PlaneTicket copy_stream(FlowGroup& group, LegId leg, RtpStreamState& to) = 0;
  virtual PlaneTicket resume_stream(FlowGroup& group, LegId leg, const RtpStreamState& from) = 0;

  // A tap that sends the RTP and RTCP it is offered to the party of a leg of `target`, out of the
  // sockets that the leg has in `spec`. Both must stay until the plane has let go of the tap.
  virtual std::unique_ptr<Tap> fork_into(FlowGroup& target, const FlowGroupSpec& spec,
                                         LegId leg) = 0;

  virtual FlowPath path_of(const FlowGroup& group, LegId leg, Component component) const = 0;
  // Sum over the plane's threads since start.
  virtual PlaneCounters counters() const = 0;
};

}  // namespace relay
