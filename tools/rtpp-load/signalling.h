// How a relay is told of a call and of its end: the rtpproxy protocol or rtpengine's ng. Loop
// thread only.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "tools/common/control_client.h"
#include "tools/rtpp-load/histogram.h"
#include "tools/rtpp-load/phone.h"

namespace relay::tools {

struct SignallingCounters {
  uint64_t commands = 0;  // answered
  uint64_t retransmissions = 0;
  uint64_t refused = 0;  // answered with an error
  uint64_t unanswered = 0;
  Histogram latency;
};

struct SignallingSettings {
  std::string modifiers;  // letters behind U and L
  // For relays that answer a port alone, because they are bound to a wildcard.
  IpAddress relay_address;
};

class Signalling {
 public:
  using Done = std::function<void(Result<void>)>;
  virtual ~Signalling() = default;
  // Fills in where each phone has to send. Destroy neither `call` nor this before `done`.
  virtual void set_up(Call& call, Done done) = 0;
  // Phone A is at another place now.
  virtual void move(Call& call, Done done) = 0;
  virtual void tear_down(const Call& call, Done done) = 0;

  const SignallingCounters& counters() const { return counters_; }
  // What they were; they begin anew.
  SignallingCounters take_counters() { return std::exchange(counters_, {}); }

 protected:
  explicit Signalling(ControlClient& client) : client_(client) {}
  // Asks, and counts what comes of it. `reply` is an error only when none came.
  void ask(std::string command, std::function<void(Result<std::string>)> reply);

  ControlClient& client_;
  SignallingCounters counters_;
};

std::unique_ptr<Signalling> make_rtpproxy_signalling(ControlClient& client,
                                                     const SignallingSettings& settings);
std::unique_ptr<Signalling> make_ng_signalling(ControlClient& client);

// What U or L answered: `PORT`, `PORT ADDRESS`, `PORT ADDRESS 6`. Public for its test.
Result<Endpoint> parse_port_reply(std::string_view reply, const IpAddress& default_address);
// The audio endpoints of an SDP: RTP, and RTCP where a=rtcp says so, else one port above.
struct SdpAudio {
  Endpoint rtp;
  Endpoint rtcp;
};
Result<SdpAudio> parse_sdp_audio(std::string_view sdp);

}  // namespace relay::tools
