// Tells others what happened: lines to rtpproxy's kind of listeners, JSON-RPC requests to Kamailio,
// JSON to webhooks.
// Control thread only; nothing here blocks.
//
// Each target has a queue of its own and one delivery under way, so that lines arrive in the order
// they were given. What a listener that is away cannot take now is tried again, less and less
// often, until it is too old. Beyond the bounds a notification is dropped, counted and logged.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "relay/base/clock.h"
#include "relay/base/log.h"
#include "relay/control/control_counters.h"
#include "relay/control/event_loop.h"
#include "relay/control/notify_targets.h"
#include "relay/control/notify_transport.h"

namespace relay {

struct NotifierLimits {
  Duration keep = std::chrono::seconds(60);  // a notification this old is dropped
  size_t queue_bytes = size_t{1} << 20;      // of one target, overhead not counted
  size_t queue_items = 10'000;
  size_t targets = 256;  // with something to tell at the same time
  // Of a queue that is full, the oldest one goes for the newest; otherwise the newest is refused.
  bool drops_oldest = false;
  // How often something may be sent that the peer may have seen already.
  int doubtful_tries = 5;
  Duration retry_first = std::chrono::milliseconds(100);  // doubles up to:
  Duration retry_longest = std::chrono::seconds(5);
  TransportTimeouts transport;
};

// The SIP dialog of a call (RFC 3261 §12).
struct SipDialog {
  std::string call_id, from_tag, to_tag;
};

class Notifier {
 public:
  // `counters` and `clock` outlive the notifier, and so does the loop.
  Notifier(EventLoop& loop, const Clock& clock, const NotifyCounters& counters,
           const NotifierLimits& limits = {});
  // What has not been delivered yet is dropped.
  ~Notifier();
  Notifier(const Notifier&) = delete;
  Notifier& operator=(const Notifier&) = delete;

  // Queues one line, without its LF: `TAG` of a time-out, `TAG DIGIT VOLUME DURATION SIDE`; JSON
  // for a webhook. Not for an RpcTarget.
  void notify(const NotifyTarget& target, std::string line);
  // Asks for the end of the call, with a BYE to both parties (Kamailio's dlg.terminate_dlg).
  void terminate_dialog(const RpcTarget& target, const SipDialog& dialog);

  // Notifications that are still to be delivered.
  size_t waiting() const;

 private:
  struct Item {
    std::string bytes;
    Instant expires;
    int doubts = 0;
  };
  struct Channel;

  void add(const NotifyTarget& target, std::string bytes);
  Channel* channel_for(const NotifyTarget& target);
  void send_next(Channel& channel);
  size_t batch_size(const Channel& channel) const;
  void on_outcome(Channel& channel, size_t count, const DeliveryOutcome& outcome);
  void put_off(Channel& channel, size_t count, const DeliveryOutcome& outcome);
  void drop_old(Channel& channel);
  bool make_room(Channel& channel, size_t bytes);
  void drop(const std::string& target, std::string_view bytes, std::string_view reason);

  EventLoop& loop_;
  const Clock& clock_;
  const NotifyCounters counters_;
  const NotifierLimits limits_;
  LogLimit warnings_{10};
  uint64_t requests_ = 0;
  std::map<std::string, std::unique_ptr<Channel>, std::less<>> channels_;  // by target's name
};

}  // namespace relay
