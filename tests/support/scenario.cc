#include "tests/support/scenario.h"

#include <fmt/core.h>
#include <fmt/ranges.h>

#include <charconv>
#include <fstream>
#include <functional>
#include <iterator>

namespace relay::testing {
namespace {

constexpr uint64_t kPortSeed = 1;

std::optional<int> parse_int(std::string_view text) {
  int value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

// "192.0.2.1:5000", "[2001:db8::1]:5000".
std::optional<Endpoint> parse_endpoint(std::string_view text) {
  const size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return std::nullopt;
  std::string_view host = text.substr(0, colon);
  if (host.starts_with("[") && host.ends_with("]")) host = host.substr(1, host.size() - 2);
  const auto address = IpAddress::parse(host);
  const auto port = parse_int(text.substr(colon + 1));
  if (!address || !port || *port < 0 || *port > 65535) return std::nullopt;
  return Endpoint{*address, static_cast<uint16_t>(*port)};
}

Packet bytes_of(std::initializer_list<int> values) {
  Packet packet;
  for (const int value : values) packet.push_back(static_cast<std::byte>(value));
  return packet;
}

Packet packet_of(const SendStep& step, int number) {
  if (step.kind == "rtcp") return rtcp_packet(step.rtp.ssrc);
  if (step.kind == "rtcp-bye") {  // RFC 3550 §6.6
    Packet packet = bytes_of({0x81, 203});
    append_be16(packet, 1);
    append_be32(packet, step.rtp.ssrc);
    return packet;
  }
  if (step.kind == "stun") {  // a binding request, RFC 8489 §5
    Packet packet = bytes_of({0x00, 0x01, 0x00, 0x00, 0x21, 0x12, 0xA4, 0x42});
    packet.resize(20, std::byte{0x5A});
    return packet;
  }
  if (step.kind == "dtls") {  // a handshake record, RFC 6347 §4.1
    Packet packet = bytes_of({22, 0xFE, 0xFD});
    packet.resize(60, std::byte{0});
    return packet;
  }
  if (step.kind == "udptl") return bytes_of({0x00, 0x01, 0x01, 0x00});
  if (step.kind == "raw") return step.raw;
  RtpFields fields = step.rtp;
  fields.sequence = static_cast<uint16_t>(fields.sequence + number);
  fields.timestamp += static_cast<uint32_t>(number) * 160;
  return rtp_packet(fields);
}

std::string describe(const std::optional<Verdict>& verdict) {
  if (!verdict) return "lost: no socket is open there";
  switch (verdict->kind) {
    case Verdict::Kind::forward:
      return "forwarded " + verdict->destination.to_string();
    case Verdict::Kind::punt:
      return "punted";
    case Verdict::Kind::consume:
      return "consumed";
    case Verdict::Kind::drop:
      return "drop " + std::string(to_string(verdict->reason));
  }
  return "unknown";
}

std::string outcome_of(const std::optional<Verdict>& verdict) {
  if (!verdict) return "lost";
  if (verdict->kind == Verdict::Kind::consume) return "consumed";
  return verdict->kind == Verdict::Kind::forward ? "forwarded" : "drop";
}

}  // namespace

std::optional<std::string> Scenario::run(std::string_view script) {
  const auto lines = parse_call_script(script);
  if (!lines) return lines.error().message;
  for (const ScriptLine& line : *lines) {
    const bool is_setup = std::holds_alternative<SetupStep>(line.step);
    const Outcome started = relay_ || is_setup ? Outcome{} : start();
    if (!started) return fmt::format("line {}: {}", line.number, started.error().message);
    const Outcome outcome = std::visit([&](const auto& step) { return execute(step); }, line.step);
    if (!outcome) return fmt::format("line {}: {}", line.number, outcome.error().message);
  }
  if (!relay_) return "line 1: the script has no step";
  const Outcome end = finish();
  if (end) return std::nullopt;
  const size_t last = lines->empty() ? 0 : lines->back().number;
  return fmt::format("line {}: after the last step: {}", last, end.error().message);
}

Scenario::Outcome Scenario::start() {
  const auto config = config_from_options(options_);
  if (!config) return tl::unexpected(config.error());
  fork_grace_ = config->runtime.fork_grace;
  const auto outlet = [this](const Endpoint& from, const Endpoint& to, Bytes) {
    departures_.push_back({from, to});
  };
  relay_ = std::make_unique<SimRelay>(*config, kPortSeed, outlet);
  return {};
}

Scenario::Outcome Scenario::execute(const SetupStep& step) {
  if (relay_) return fail("`setup` must come before the first command");
  options_ = step.options;
  return start();
}

Scenario::Outcome Scenario::execute(const PartyStep& step) {
  const auto endpoint = parse_endpoint(step.endpoint);
  if (!endpoint) return fail(fmt::format("`{}`: ADDRESS:PORT is expected", step.endpoint));
  names_[step.name] = *endpoint;
  return {};
}

Scenario::Outcome Scenario::execute(const CommandStep& step) {
  const std::string reply = relay_->command(step.text);
  const std::vector<std::string> got = split_words(reply);
  const auto mismatch = [&] {
    return fail(fmt::format("`{}` was answered `{}`, expected `{}`", step.text, reply,
                            fmt::join(step.reply, " ")));
  };
  size_t at = 0;
  for (size_t i = 0; i < step.reply.size(); ++i, ++at) {
    if (at >= got.size()) return mismatch();
    if (step.reply[i] == "port" && i + 1 < step.reply.size()) {
      const bool has_address = at + 1 < got.size() && got[at + 1] != "&&";
      const Outcome bound = bind(step.reply[++i], got[at], has_address ? got[at + 1] : "");
      if (!bound) return fail(fmt::format("`{}`: {}", step.text, bound.error().message));
    } else if (step.reply[i] != "*" && step.reply[i] != got[at]) {
      return mismatch();
    }
  }
  if (at != got.size()) return mismatch();
  return {};
}

// A reply without address comes from a wildcard: packets find the port on any of the addresses.
Scenario::Outcome Scenario::bind(const std::string& name, const std::string& port,
                                 const std::string& address) {
  const auto number = parse_int(port);
  if (!number || *number < 1 || *number > 65534 || *number % 2 != 0) {
    return fail(fmt::format("answered `{}`, expected an even port", port));
  }
  const auto host = IpAddress::parse(address.empty() ? "192.0.2.1" : address);
  const Endpoint endpoint{host.value_or(IpAddress{}), static_cast<uint16_t>(*number)};
  const auto known = ports_.find(name);
  if (known != ports_.end()) {
    if (known->second.port == endpoint.port) return {};
    return fail(fmt::format("answered port {}, but {} was {}", *number, name, known->second.port));
  }
  for (const auto& [other, taken] : ports_) {
    if (taken != endpoint) continue;
    return fail(fmt::format("answered port {} for {}, but that is {}", *number, name, other));
  }
  ports_[name] = endpoint;
  names_[name] = endpoint;
  return {};
}

Scenario::Outcome Scenario::execute(const SendStep& step) {
  for (int i = 0; i < step.times; ++i) {
    if (i > 0) relay_->advance(step.every);
    if (Outcome outcome = send_once(step, packet_of(step, i)); !outcome) {
      if (step.times == 1) return outcome;
      return fail(fmt::format("packet {} of {}: {}", i + 1, step.times, outcome.error().message));
    }
  }
  return {};
}

Scenario::Outcome Scenario::send_once(const SendStep& step, const Packet& packet) {
  const auto from = resolve(step.from);
  const auto to = resolve(step.to);
  if (!from) return tl::unexpected(from.error());
  if (!to) return tl::unexpected(to.error());
  departures_.clear();
  const auto verdict = relay_->plane().receive(*from, *to, packet);
  const bool as_expected = outcome_of(verdict) == step.outcome &&
                           (step.outcome != "drop" || to_string(verdict->reason) == step.detail);
  if (!as_expected) {
    return fail(fmt::format("the packet met `{}`, expected `{} {}`", describe(verdict),
                            step.outcome, step.detail));
  }
  return step.outcome == "forwarded" ? check_departure(step) : Outcome{};
}

Scenario::Outcome Scenario::check_departure(const SendStep& step) {
  const auto to = resolve(step.detail);
  if (!to) return tl::unexpected(to.error());
  if (departures_.empty()) return fail("the packet was forwarded but nothing left");
  if (departures_.back().to != *to) {
    return fail(fmt::format("the packet went to {}, expected {} ({})",
                            departures_.back().to.to_string(), step.detail, to->to_string()));
  }
  if (step.leaves_from.empty()) return {};
  const auto from = resolve(step.leaves_from);
  if (!from) return tl::unexpected(from.error());
  if (departures_.back().from.port == from->port) return {};
  return fail(fmt::format("the packet left from {}, expected {} ({})",
                          departures_.back().from.to_string(), step.leaves_from,
                          from->to_string()));
}

// `WHOM from PORT`, any number of them, in order.
Scenario::Outcome Scenario::check_left(const std::vector<std::string>& expected) {
  std::string got, wanted;
  for (const auto& departure : departures_) {
    got += fmt::format(" {} from {}", departure.to.to_string(), departure.from.to_string());
  }
  for (const std::string& word : expected) {
    const auto endpoint = word == "from" ? Result<Endpoint>(Endpoint{}) : resolve(word);
    if (!endpoint) return tl::unexpected(endpoint.error());
    wanted += " " + (word == "from" ? word : endpoint->to_string());
  }
  if (got == wanted) return {};
  return fail(fmt::format("what left went to{}, expected{}", got, wanted));
}

Scenario::Outcome Scenario::execute(const AdvanceStep& step) {
  relay_->advance(step.step);
  return {};
}

Scenario::Outcome Scenario::execute(const ExpectStep& step) {
  const auto compare = [&](const std::string& got) -> Outcome {
    const std::string expected = fmt::format("{}", fmt::join(step.values, " "));
    if (got == expected) return {};
    return fail(fmt::format("{}: `{}`, expected `{}`", step.what, got, expected));
  };
  if (step.what == "sessions") return compare(std::to_string(relay_->sessions().active()));
  if (step.what == "ports") return compare(std::to_string(relay_->sessions().ports().taken()));
  if (step.what == "left") return check_left(step.values);
  if (step.what == "copies") return compare(std::to_string(departures_.size()));
  if (step.what == "drained") return compare(relay_->sessions().drained() ? "yes" : "no");
  if (step.what == "notified") {
    const auto told = relay_->take_notifications();
    return compare(told.empty() ? "nobody" : fmt::format("{}", fmt::join(told, " ")));
  }
  if (step.what == "counters") {
    const std::string imbalance = relay_->plane().imbalance();
    return compare(imbalance.empty() ? "balanced" : imbalance);
  }
  return fail(
      fmt::format("`{}` cannot be expected; sessions, ports, copies, left, drained, notified or "
                  "counters can",
                  step.what));
}

Scenario::Outcome Scenario::execute(const PlainStep& step) {
  if (step.what == "shutdown" && step.values.front() == "slow") {
    relay_->sessions().start_draining();
    return {};
  }
  for (const std::string& value : step.values) {
    if (step.what == "occupy") {
      relay_->host().occupy(static_cast<uint16_t>(parse_int(value).value_or(0)));
    } else if (step.what == "forget") {
      if (ports_.erase(value) == 0) return fail(fmt::format("`{}` is no port", value));
      names_.erase(value);
    } else {
      return fail(fmt::format("`{} {}` is no step", step.what, value));
    }
  }
  return {};
}

Scenario::Outcome Scenario::finish() {
  if (std::string imbalance = relay_->plane().imbalance(); !imbalance.empty()) {
    return fail("counters do not balance: " + imbalance);
  }
  relay_->command("X");
  // Deleted forks and closed sockets are let go of within a few seconds.
  relay_->advance(fork_grace_ + std::chrono::seconds(2));
  if (const size_t active = relay_->sessions().active(); active != 0) {
    return fail(fmt::format("{} sessions are left after X", active));
  }
  if (const size_t taken = relay_->sessions().ports().taken(); taken != 0) {
    return fail(fmt::format("{} port pairs have not come back", taken));
  }
  if (const size_t installed = relay_->plane().installed(); installed != 0) {
    return fail(fmt::format("the plane still holds {} groups", installed));
  }
  if (std::string imbalance = relay_->plane().imbalance(); !imbalance.empty()) {
    return fail("counters do not balance after X: " + imbalance);
  }
  return {};
}

Result<Endpoint> Scenario::resolve(const std::string& text) const {
  const size_t plus = text.rfind('+');
  const auto name = names_.find(text.substr(0, plus));
  if (name != names_.end()) {
    const int offset = plus == std::string::npos ? 0 : parse_int(text.substr(plus + 1)).value_or(0);
    if (const auto endpoint = name->second.with_port_offset(offset)) return *endpoint;
  }
  if (const auto endpoint = parse_endpoint(text)) return *endpoint;
  return fail(fmt::format("`{}` is neither a party or port of this script nor ADDRESS:PORT", text));
}

std::optional<std::string> run_call_file(const std::filesystem::path& file) {
  std::ifstream stream(file);
  if (!stream) return fmt::format("{}: cannot be read", file.string());
  const std::string script((std::istreambuf_iterator<char>(stream)),
                           std::istreambuf_iterator<char>());
  const auto failure = Scenario().run(script);
  if (!failure) return std::nullopt;
  // `line 7: …` becomes `FILE:7: …`.
  return file.string() + ":" + failure->substr(std::string_view("line ").size());
}

}  // namespace relay::testing
