#include <fmt/core.h>

#include <charconv>

#include "relay/base/log.h"
#include "tools/rtpp-load/signalling.h"

namespace relay::tools {

void Signalling::ask(std::string command, std::function<void(Result<std::string>)> reply) {
  client_.ask(std::move(command), [this, reply = std::move(reply)](Result<Answer> answer) {
    if (!answer) {
      ++counters_.unanswered;
      return reply(tl::unexpected(answer.error()));
    }
    ++counters_.commands;
    counters_.retransmissions += static_cast<uint64_t>(answer->transmissions - 1);
    counters_.latency.record(answer->latency.count());
    reply(std::move(answer->reply));
  });
}

Result<Endpoint> parse_port_reply(std::string_view reply, const IpAddress& default_address) {
  unsigned port = 0;
  const auto [end, error] = std::from_chars(reply.data(), reply.data() + reply.size(), port);
  if (error != std::errc() || port < 1 || port > 65535) {
    return fail(fmt::format("the relay answered {}: expected a port", quoted(reply)));
  }
  std::string_view rest(end, reply.size() - static_cast<size_t>(end - reply.data()));
  if (rest.empty()) return Endpoint{default_address, static_cast<uint16_t>(port)};
  rest.remove_prefix(1);
  const auto address = IpAddress::parse(rest.substr(0, rest.find(' ')));
  if (!address) {
    return fail(fmt::format("the relay answered {}: expected a numeric address behind the port",
                            quoted(reply)));
  }
  return Endpoint{*address, static_cast<uint16_t>(port)};
}

namespace {

// U tells of phone A and answers where B sends; L tells of B and answers where A sends.
class RtpproxySignalling final : public Signalling {
 public:
  RtpproxySignalling(ControlClient& client, SignallingSettings settings)
      : Signalling(client), settings_(std::move(settings)) {}

  void set_up(Call& call, Done done) override {
    ask(media_command('U', call, 0), [this, &call, done = std::move(done)](auto reply) {
      if (!take_port(reply, call.phones[1], done)) return;
      ask(media_command('L', call, 1), [this, &call, done](auto second) {
        if (take_port(second, call.phones[0], done)) done({});
      });
    });
  }

  void move(Call& call, Done done) override {
    ask(fmt::format("{} to{};1", media_command('U', call, 0), call.index),
        [this, &call, done = std::move(done)](auto reply) {
          if (take_port(reply, call.phones[1], done)) done({});
        });
  }

  void tear_down(const Call& call, Done done) override {
    ask(fmt::format("D {} from{} to{}", call.call_id, call.index, call.index),
        [this, done = std::move(done)](auto reply) {
          if (!reply) return done(tl::unexpected(reply.error()));
          if (*reply == "0") return done({});
          ++counters_.refused;
          done(fail(fmt::format("delete: the relay answered {}", quoted(*reply))));
        });
  }

 private:
  std::string media_command(char verb, const Call& call, size_t side) const {
    const Endpoint& phone = call.phones[side].signalled;
    std::string command = fmt::format("{}{}{} {} {} {} from{};1", verb, settings_.modifiers,
                                      phone.address.is_ipv6() ? "6" : "", call.call_id,
                                      phone.address.to_string(), phone.port, call.index);
    if (verb == 'L') command += fmt::format(" to{};1", call.index);
    return command;
  }

  bool take_port(const Result<std::string>& reply, Phone& sender, const Done& done) {
    if (!reply) {
      done(tl::unexpected(reply.error()));
      return false;
    }
    const auto endpoint = parse_port_reply(*reply, settings_.relay_address);
    const auto rtcp = endpoint ? endpoint->with_port_offset(1) : std::nullopt;
    if (!rtcp) {
      ++counters_.refused;
      done(endpoint ? fail(fmt::format("port {} leaves no port for RTCP", endpoint->port))
                    : tl::unexpected(endpoint.error()));
      return false;
    }
    sender.relay_rtp = *endpoint;
    sender.relay_rtcp = *rtcp;
    return true;
  }

  const SignallingSettings settings_;
};

}  // namespace

std::unique_ptr<Signalling> make_rtpproxy_signalling(ControlClient& client,
                                                     const SignallingSettings& settings) {
  return std::make_unique<RtpproxySignalling>(client, settings);
}

}  // namespace relay::tools
