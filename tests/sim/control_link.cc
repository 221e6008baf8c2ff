#include "tests/sim/control_link.h"

#include <fmt/core.h>

#include "ctlproto/parse.h"

namespace relay::testing {
namespace {

using namespace std::chrono_literals;

constexpr LinkQuality kControlQuality{0.1, 0.05, 1ms, 40ms};
constexpr int kTriesMax = 5;

const Endpoint kControl{*IpAddress::parse("192.0.2.1"), 7722};

Endpoint endpoint_of(size_t proxy) {
  return {*IpAddress::parse(fmt::format("192.0.2.{}", 100 + proxy)), 5060};
}

Packet to_packet(std::string_view text) {
  Packet packet;
  for (const char c : text) packet.push_back(static_cast<std::byte>(c));
  return packet;
}

std::string to_text(const Packet& packet) {
  std::string text;
  for (const std::byte b : packet) text += static_cast<char>(b);
  return text;
}

}  // namespace

ControlLink::ControlLink(SimRelay& relay, SimQueue& queue, SimRandom& random, Observer observer)
    : relay_(relay),
      queue_(queue),
      network_(queue, random, kControlQuality),
      observer_(std::move(observer)) {
  network_.attach(kControl.address, [this](const Endpoint& source, const Endpoint&,
                                           const Packet& packet) { on_request(source, packet); });
  for (size_t proxy = 0; proxy < kProxies; ++proxy) {
    network_.attach(endpoint_of(proxy).address,
                    [this, proxy](const Endpoint&, const Endpoint&, const Packet& packet) {
                      on_response(proxy, packet);
                    });
  }
}

void ControlLink::send(size_t proxy, const std::string& command, OnReply on_reply) {
  const std::string cookie = fmt::format("7_{}", ++sequence_[proxy]);
  requests_[proxy][cookie] = {command, std::move(on_reply), {}, 0};
  transmit(proxy, cookie);
}

void ControlLink::transmit(size_t proxy, const std::string& cookie) {
  Request& request = requests_[proxy][cookie];
  if (!request.reply.empty() || request.tries == kTriesMax) return;
  ++request.tries;
  network_.send(endpoint_of(proxy), kControl, to_packet(cookie + " " + request.command));
  queue_.after(1s, [this, proxy, cookie] { transmit(proxy, cookie); });
}

// What UdpListener does with one datagram.
void ControlLink::on_request(const Endpoint& peer, const Packet& packet) {
  const std::string text = to_text(packet);
  const auto [cookie, command] = ctlproto::split_cookie(text);
  const ReplyCacheKey key{0, peer, 0, cookie, command};
  if (const auto stored = cache_.find(key, queue_.now())) {
    ++repeated_;
    relay_.executor().count_duplicate();
    network_.send(kControl, peer, to_packet(std::string(*stored)));
    return;
  }
  ++executed_;
  const std::string reply = relay_.executor().execute(command, {peer, kControl});
  observer_(std::string(command), reply);
  const std::string framed = std::string(cookie) + " " + reply;
  network_.send(kControl, peer, to_packet(framed));
  cache_.insert(key, framed, queue_.now());
}

void ControlLink::on_response(size_t proxy, const Packet& packet) {
  const std::string text = to_text(packet);
  const size_t blank = text.find(' ');
  const auto entry = requests_[proxy].find(text.substr(0, blank));
  if (entry == requests_[proxy].end() || !text.ends_with("\n")) {
    contradiction_ = fmt::format("`{}` answers nothing that was asked", text);
    return;
  }
  Request& request = entry->second;
  const std::string reply = text.substr(blank + 1, text.size() - blank - 2);
  if (request.reply.empty()) {
    request.reply = reply;
    if (request.on_reply) request.on_reply(reply);
  } else if (request.reply != reply) {
    contradiction_ =
        fmt::format("`{}` was answered `{}` and then `{}`", request.command, request.reply, reply);
  }
}

}  // namespace relay::testing
