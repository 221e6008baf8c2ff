#include "tests/support/call_script.h"

#include <fmt/core.h>

#include <charconv>
#include <functional>
#include <map>

namespace relay::testing {
namespace {

using Words = std::vector<std::string>;

std::optional<uint64_t> parse_number(std::string_view text) {
  uint64_t value = 0;
  const int base = text.starts_with("0x") ? 16 : 10;
  if (base == 16) text.remove_prefix(2);
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, base);
  if (error != std::errc{} || end != text.data() + text.size() || text.empty()) return std::nullopt;
  return value;
}

std::string_view without_blanks(std::string_view text) {
  const size_t first = text.find_first_not_of(" \t");
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t") - first + 1);
}

// Commands are bytes: `\xNN` stands for one.
Result<std::string> unescaped(std::string_view text) {
  std::string bytes;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text.substr(i, 2) != "\\x") {
      bytes += text[i];
      continue;
    }
    const auto value = parse_number("0x" + std::string(text.substr(i + 2, 2)));
    if (!value) return fail(fmt::format("`{}` is no byte; \\xNN is expected", text.substr(i, 4)));
    bytes += static_cast<char>(*value);
    i += 3;
  }
  return bytes;
}

Result<Packet> parse_hex(std::string_view text) {
  Packet packet;
  for (size_t i = 0; i < text.size(); i += 2) {
    const auto value = parse_number("0x" + std::string(text.substr(i, 2)));
    if (!value || i + 2 > text.size()) {
      return fail(fmt::format("`{}` is not pairs of hexadecimal digits", text));
    }
    packet.push_back(static_cast<std::byte>(*value));
  }
  return packet;
}

Result<void> set_packet_field(SendStep& step, const std::string& word) {
  const size_t equals = word.find('=');
  const std::string name = word.substr(0, equals);
  const std::string value = equals == std::string::npos ? "" : word.substr(equals + 1);
  if (word == "marker") {
    step.rtp.marker = true;
    return {};
  }
  if (name == "every") {
    const auto every = parse_duration(value);
    if (!every) return fail(fmt::format("`{}`: a duration such as 20ms is expected", word));
    step.every = *every;
    return {};
  }
  const std::map<std::string, std::function<void(uint64_t)>> fields = {
      {"ssrc", [&](uint64_t n) { step.rtp.ssrc = static_cast<uint32_t>(n); }},
      {"seq", [&](uint64_t n) { step.rtp.sequence = static_cast<uint16_t>(n); }},
      {"ts", [&](uint64_t n) { step.rtp.timestamp = static_cast<uint32_t>(n); }},
      {"pt", [&](uint64_t n) { step.rtp.payload_type = static_cast<uint8_t>(n & 0x7F); }},
      {"payload", [&](uint64_t n) { step.rtp.payload_bytes = n; }},
      {"times", [&](uint64_t n) { step.times = static_cast<int>(n); }},
  };
  const auto field = fields.find(name);
  const auto number = parse_number(value);
  if (field == fields.end() || !number) {
    return fail(fmt::format(
        "`{}`: ssrc= seq= ts= pt= payload= times= with a number, every= or marker is expected",
        word));
  }
  field->second(*number);
  return {};
}

Result<void> set_outcome(SendStep& step, const Words& words) {
  const bool forwarded = words.size() >= 2 && words[0] == "forwarded";
  if (forwarded && (words.size() == 2 || (words.size() == 4 && words[2] == "from"))) {
    step.outcome = words[0];
    step.detail = words[1];
    if (words.size() == 4) step.leaves_from = words[3];
    return {};
  }
  if (words.size() == 2 && words[0] == "drop") {
    step.outcome = "drop";
    step.detail = words[1];
    return {};
  }
  if (words.size() == 1 && (words[0] == "lost" || words[0] == "consumed")) {
    step.outcome = words[0];
    return {};
  }
  return fail("`forwarded TO [from PORT]`, `consumed`, `drop REASON` or `lost` is expected");
}

Result<Step> parse_send(const Words& words, const Words& outcome) {
  if (words.size() < 4 || words[1] != "->") {
    return fail("`send FROM -> TO KIND … expect OUTCOME` is expected");
  }
  SendStep step;
  step.from = words[0];
  step.to = words[2];
  step.kind = words[3];
  size_t next = 4;
  constexpr std::array kinds{"rtp", "rtcp", "rtcp-bye", "stun", "dtls", "udptl", "raw"};
  if (std::find(kinds.begin(), kinds.end(), step.kind) == kinds.end()) {
    return fail(
        fmt::format("`{}` is no kind of packet; rtp, rtcp, rtcp-bye, stun, dtls, udptl or "
                    "raw HEX is expected",
                    step.kind));
  }
  if (step.kind == "raw") {
    auto packet = parse_hex(words.size() > next ? words[next] : "");
    if (!packet) return tl::unexpected(packet.error());
    step.raw = *packet;
    ++next;
  }
  for (; next < words.size(); ++next) {
    if (auto set = set_packet_field(step, words[next]); !set) return tl::unexpected(set.error());
  }
  if (auto set = set_outcome(step, outcome); !set) return tl::unexpected(set.error());
  return step;
}

Result<Step> parse_step(std::string_view line) {
  const std::string_view verb = line.substr(0, line.find(' '));
  const std::string_view rest = without_blanks(line.substr(verb.size()));
  if (verb == "command" || verb == "send") {
    const std::string_view arguments = line.substr(verb.size());
    const size_t expect = arguments.rfind(" expect ");
    if (expect == std::string_view::npos) {
      return fail(fmt::format("`{}` needs `expect …` at its end", verb));
    }
    const std::string_view action = without_blanks(arguments.substr(0, expect));
    const Words expected = split_words(arguments.substr(expect + 8));
    if (verb == "send") return parse_send(split_words(action), expected);
    auto text = unescaped(action);
    if (!text) return tl::unexpected(text.error());
    return CommandStep{*text, expected};
  }
  const Words words = split_words(rest);
  if (verb == "setup" && !words.empty()) return SetupStep{words};
  if (verb == "party" && words.size() == 2) return PartyStep{words[0], words[1]};
  if (verb == "advance" && words.size() == 1 && parse_duration(words[0])) {
    return AdvanceStep{*parse_duration(words[0])};
  }
  if (verb == "expect" && !words.empty())
    return ExpectStep{words[0], {words.begin() + 1, words.end()}};
  if ((verb == "occupy" || verb == "forget" || verb == "shutdown") && !words.empty()) {
    return PlainStep{std::string(verb), words};
  }
  return fail(
      fmt::format("`{}` is no step; setup, party, command, send, advance, expect, occupy, "
                  "forget or shutdown is expected, each with its arguments",
                  line));
}

}  // namespace

std::vector<std::string> split_words(std::string_view text) {
  std::vector<std::string> words;
  for (size_t at = text.find_first_not_of(" \t\n"); at != std::string_view::npos;) {
    const size_t end = std::min(text.find_first_of(" \t\n", at), text.size());
    words.emplace_back(text.substr(at, end - at));
    at = text.find_first_not_of(" \t\n", end);
  }
  return words;
}

std::optional<Duration> parse_duration(std::string_view text) {
  const bool milliseconds = text.ends_with("ms");
  if (!milliseconds && !text.ends_with("s")) return std::nullopt;
  const auto number = parse_number(text.substr(0, text.size() - (milliseconds ? 2 : 1)));
  if (!number) return std::nullopt;
  if (milliseconds) return std::chrono::milliseconds(*number);
  return std::chrono::seconds(*number);
}

Result<std::vector<ScriptLine>> parse_call_script(std::string_view text) {
  std::vector<ScriptLine> script;
  size_t number = 0;
  std::string pending;
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    std::string line = pending + std::string(without_blanks(text.substr(0, end)));
    text.remove_prefix(std::min(end + 1, text.size()));
    ++number;
    pending.clear();
    if (line.ends_with("\\")) {  // goes on in the next line
      line.back() = ' ';
      pending = std::move(line);
      continue;
    }
    if (line.empty() || line.starts_with("#")) continue;
    auto step = parse_step(line);
    if (!step) return fail(fmt::format("line {}: {}", number, step.error().message));
    script.push_back({number, *step});
  }
  return script;
}

}  // namespace relay::testing
