#include "relay/control/notifier.h"

#include <algorithm>

#include "relay/control/line_transport.h"
#include "relay/control/rpc_transport.h"
#include "relay/control/webhook.h"

namespace relay {

using Kind = DeliveryOutcome::Kind;

namespace {

constexpr size_t kShownBytesMax = 256;

}  // namespace

// Everything one target is still to be told. Gone when that is nothing.
struct Notifier::Channel {
  std::string name;
  std::unique_ptr<NotifyTransport> transport;
  std::deque<Item> items;
  size_t bytes = 0;      // of all items
  size_t under_way = 0;  // of the items, from the front
  int failures = 0;      // since the last success
  std::unique_ptr<Timer> next;

  std::string join_front(size_t count) {
    std::string joined;
    for (size_t i = 0; i < count; ++i) joined += items[i].bytes;
    return joined;
  }
  void remove(size_t index) {
    bytes -= items[index].bytes.size();
    items.erase(items.begin() + static_cast<std::ptrdiff_t>(index));
  }
  void remove_front(size_t count) {
    for (; count > 0; --count) remove(0);
  }
};

std::unique_ptr<NotifyTransport> make_notify_transport(EventLoop& loop, const NotifyTarget& target,
                                                       const TransportTimeouts& timeouts) {
  if (const auto* lines = std::get_if<LineTarget>(&target)) {
    return std::make_unique<LineTransport>(loop, *lines, timeouts);
  }
  if (const auto* webhook = std::get_if<WebhookTarget>(&target)) {
    return std::make_unique<HttpTransport>(loop, webhook->server, webhook_manner(), timeouts);
  }
  const auto& rpc = std::get<RpcTarget>(target);
  if (rpc.endpoint.valid()) {
    return std::make_unique<HttpTransport>(
        loop,
        HttpServerAddress{
            rpc.endpoint.address.to_string(), rpc.endpoint.port, rpc.path, {{"Host", rpc.host}}},
        http_rpc_manner(), timeouts);
  }
  return std::make_unique<DatagramRpcTransport>(loop, rpc, timeouts);
}

Notifier::Notifier(EventLoop& loop, const Clock& clock, const NotifyCounters& counters,
                   const NotifierLimits& limits)
    : loop_(loop), clock_(clock), counters_(counters), limits_(limits) {}

Notifier::~Notifier() {
  const size_t left = waiting();
  if (left == 0) return;
  counters_.dropped += left;
  log_warning("notifications dropped at the end notifications={}", left);
}

void Notifier::notify(const NotifyTarget& target, std::string line) {
  line += '\n';
  add(target, std::move(line));
}

void Notifier::terminate_dialog(const RpcTarget& target, const SipDialog& dialog) {
  add(target, rpc_request("dlg.terminate_dlg", {dialog.call_id, dialog.from_tag, dialog.to_tag},
                          ++requests_));
}

size_t Notifier::waiting() const {
  size_t total = 0;
  for (const auto& [name, channel] : channels_) total += channel->items.size();
  return total;
}

void Notifier::add(const NotifyTarget& target, std::string bytes) {
  Channel* channel = channel_for(target);
  if (channel == nullptr) {
    return drop(name_of(target), bytes, "too many targets are waiting");
  }
  if (!make_room(*channel, bytes.size())) return drop(channel->name, bytes, "the queue is full");
  channel->bytes += bytes.size();
  channel->items.push_back({std::move(bytes), clock_.now() + limits_.keep, 0});
}

bool Notifier::make_room(Channel& channel, size_t bytes) {
  const auto fits = [&] {
    return channel.items.size() < limits_.queue_items &&
           channel.bytes + bytes <= limits_.queue_bytes;
  };
  while (!fits() && limits_.drops_oldest && channel.items.size() > channel.under_way) {
    drop(channel.name, channel.items[channel.under_way].bytes, "the queue is full");
    channel.remove(channel.under_way);
  }
  return fits();
}

Notifier::Channel* Notifier::channel_for(const NotifyTarget& target) {
  const std::string& name = name_of(target);
  if (const auto found = channels_.find(name); found != channels_.end()) {
    return found->second.get();
  }
  if (channels_.size() >= limits_.targets) return nullptr;
  auto& channel = channels_[name] = std::make_unique<Channel>();
  channel->name = name;
  channel->transport = make_notify_transport(loop_, target, limits_.transport);
  channel->next =
      std::make_unique<Timer>(loop_, [this, owner = channel.get()] { send_next(*owner); });
  // Not at once: what else happens in this turn of the loop goes with it.
  channel->next->start_once(Duration::zero());
  return channel.get();
}

// The channel is gone on return when it has nothing left.
void Notifier::send_next(Channel& channel) {
  drop_old(channel);
  if (channel.items.empty()) {
    channels_.erase(channels_.find(channel.name));
    return;
  }
  const size_t count = channel.under_way = batch_size(channel);
  channel.transport->send(channel.join_front(count), [this, &channel, count](const auto& outcome) {
    on_outcome(channel, count, outcome);
  });
}

// What was lost once goes alone: should it be a line that makes its reader fail, it takes no others
// with it.
size_t Notifier::batch_size(const Channel& channel) const {
  size_t count = 1;
  size_t bytes = channel.items.front().bytes.size();
  if (channel.items.front().doubts != 0) return count;
  while (count < channel.items.size()) {
    bytes += channel.items[count].bytes.size();
    if (bytes > channel.transport->batch_bytes()) break;
    ++count;
  }
  return count;
}

void Notifier::on_outcome(Channel& channel, size_t count, const DeliveryOutcome& outcome) {
  channel.under_way = 0;
  switch (outcome.kind) {
    case Kind::delivered:
      counters_.sent += count;
      if (channel.failures != 0) {
        warnings_.warning("notifications are taken again target={}", quoted(channel.name));
      }
      log_debug("notified target={} notifications={}", quoted(channel.name), count);
      break;
    case Kind::refused:
      counters_.refused += count;
      warnings_.warning("notification refused target={} reason={} notification={}",
                        quoted(channel.name), quoted(outcome.reason, 512),
                        quoted(channel.items.front().bytes, kShownBytesMax));
      break;
    case Kind::not_sent:
    case Kind::in_doubt:
      return put_off(channel, count, outcome);
  }
  channel.failures = 0;
  channel.remove_front(count);
  send_next(channel);
}

void Notifier::put_off(Channel& channel, size_t count, const DeliveryOutcome& outcome) {
  counters_.retried += count;
  if (channel.failures == 0) {
    warnings_.warning("notification not delivered, will be tried again target={} reason={}",
                      quoted(channel.name), quoted(outcome.reason, 512));
  }
  Duration delay = limits_.retry_first;
  for (int i = 0; i < channel.failures && delay < limits_.retry_longest; ++i) delay *= 2;
  ++channel.failures;
  if (outcome.kind == Kind::in_doubt) {
    for (size_t i = 0; i < count; ++i) ++channel.items[i].doubts;
  }
  while (!channel.items.empty() && channel.items.front().doubts >= limits_.doubtful_tries) {
    drop(channel.name, channel.items.front().bytes, outcome.reason);
    channel.remove_front(1);
  }
  channel.next->start_once(std::min(delay, limits_.retry_longest));
}

void Notifier::drop_old(Channel& channel) {
  const Instant now = clock_.now();
  while (!channel.items.empty() && channel.items.front().expires <= now) {
    drop(channel.name, channel.items.front().bytes, "nobody took it in time");
    channel.remove_front(1);
  }
}

void Notifier::drop(const std::string& target, std::string_view bytes, std::string_view reason) {
  ++counters_.dropped;
  warnings_.warning("notification dropped target={} reason={} notification={}", quoted(target),
                    quoted(reason, 512), quoted(bytes, kShownBytesMax));
}

}  // namespace relay
