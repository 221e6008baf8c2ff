#include "tools/rtpp-ctl/why_view.h"

#include <fmt/core.h>

#include <cstdlib>

#include "relay/base/log.h"
#include "tools/common/text_table.h"
#include "tools/rtpp-ctl/place.h"

namespace relay::tools {
namespace {

constexpr const char* kParties[] = {"caller", "callee"};

std::string other_party(std::string_view party) {
  return party == "caller" ? "callee" : "caller";
}

bool counts(const std::string& number) {
  return number != "-" && number != "0";
}

// `12 s`, `1.2 s`, `3 min 20 s`, `2 h 5 min`; a dash stays one.
std::string time_text(const std::string& seconds) {
  char* end = nullptr;
  const double value = std::strtod(seconds.c_str(), &end);
  if (end == seconds.c_str() || !(value >= 0 && value < 1e9)) return "-";
  if (value < 10) return fmt::format("{:.1f} s", value);
  const auto whole = static_cast<long>(value);
  if (whole < 120) return fmt::format("{} s", whole);
  if (whole < 7200) return fmt::format("{} min {} s", whole / 60, whole % 60);
  return fmt::format("{} h {} min", whole / 3600, whole % 3600 / 60);
}

// `3 source_refused (not from the endpoint that holds the latch)`, a line each.
std::string counted(const Place& counters, const Place& help, std::string_view verb) {
  std::string result;
  for (const NamedValue& counter : counters.all()) {
    if (!counts(counter.value)) continue;
    result += fmt::format("    {} {}: {}", counter.value, verb, counter.name);
    result += help.has(counter.name) ? fmt::format(" ({})\n", help.text(counter.name)) : "\n";
  }
  return result;
}

std::string path_text(const Place& path) {
  if (path.text("plane") == "kernel") {
    const std::string since = time_text(path.text("since_s"));
    return since == "-" ? "relayed in the kernel" : "relayed in the kernel since " + since;
  }
  if (path.text("plane") == "-") return "relayed, the relay does not tell where";
  if (!path.has("reason")) return "relayed in user space";
  return fmt::format("relayed in user space, not in the kernel: {}", path.text("reason"));
}

std::string direction_text(const Place& session, const Place& help, const std::string& party) {
  const Place leg = session.below(party);
  const Place path = leg.below("path");
  const Place rtp = leg.below("rtp");
  std::string text = fmt::format("{} → {}: {}\n", party, other_party(party), path_text(path));
  text += fmt::format("    {} RTP packets received, {} forwarded", rtp.text("received"),
                      rtp.text("forwarded"));
  const Place kernel = path.below("kernel");
  if (kernel.has("forwarded")) text += fmt::format(", {} in the kernel", kernel.text("forwarded"));
  if (rtp.text("emitted") != "-" && rtp.text("emitted") != "0") {
    text += fmt::format(", {} sent re-packetised", rtp.text("emitted"));
  }
  text += "\n";
  if (path.has("came_back")) {
    text += fmt::format("    last came back from the kernel because: {}\n", path.text("came_back"));
  }
  text += counted(rtp.below("dropped"), help.below("dropped"), "refused");
  const Place rtcp_path = leg.below("rtcp").below("path");
  if (rtcp_path.text("plane") == "kernel") {
    text += fmt::format("    RTCP on its own port: {}\n", path_text(rtcp_path));
  }
  text += counted(leg.below("rtcp").below("dropped"), help.below("dropped"), "RTCP refused");
  text += counted(kernel.below("punted"), help.below("punted"), "left to user space by the kernel");
  return text;
}

std::string right_text(const std::string& rank) {
  if (rank == "signalled") return "as signalled";
  if (rank == "signalled_host") return "the signalled host, from another port";
  if (rank == "proven") return "proven by its media, not as signalled";
  return fmt::format("by the right of {}", rank);
}

std::string latch_text(const Place& latch, const std::string& policy) {
  if (!latch.has("rank")) return "the relay does not tell who holds the latch";
  const std::string holder = latch.text("holder");
  if (holder == "-") {
    return policy == "asymmetric" ? "asymmetric: any port of the signalled host may send"
                                  : "nobody holds the latch so far";
  }
  std::string text = fmt::format("latched on {} ({})", holder, right_text(latch.text("rank")));
  if (latch.has("held_s")) text += fmt::format(" since {}", time_text(latch.text("held_s")));
  if (latch.text("contested") == "yes") text += ", contested: another endpoint was signalled";
  return text;
}

// What the party hears in place of the other one; nothing if that is the other one.
std::string prompt_text(const Place& prompt) {
  if (!prompt.has("name")) return "";
  const std::string left = prompt.text("times_left");
  return fmt::format("    hears the prompt {} as {}, {} into it, {}\n", prompt.text("name"),
                     prompt.text("codec"), time_text(prompt.text("position_s")),
                     left == "-" ? "without end" : left + " times to go");
}

std::string party_text(const Place& session, const std::string& party) {
  const Place leg = session.below(party);
  const Place latch = leg.below("latch");
  const std::string signalled = leg.text("signalled");
  const std::string egress = latch.text("egress");
  std::string text =
      fmt::format("{}: {}; {}\n", party,
                  signalled == "-" ? "no media address signalled" : "signalled " + signalled,
                  latch_text(latch, leg.text("policy")));
  text += egress == "-" ? "    media to it goes nowhere so far"
                        : fmt::format("    media to it goes to {}", egress);
  if (leg.has("local")) text += fmt::format("; our port is {}", leg.text("local"));
  return text + "\n" + prompt_text(leg.below("prompt"));
}

std::string events_text(const Place& session, const Place& help) {
  TextTable table({{"ago", true}, {"event"}, {"party"}, {""}});
  size_t shown = 0;
  for (;; ++shown) {
    const Place event = session.below("events").below(std::to_string(shown));
    if (event.all().empty()) break;
    const std::string name = event.text("event");
    table.add_row({time_text(event.text("age_s")), name, event.has("leg") ? event.text("leg") : "",
                   help.has(name) ? help.text(name) : ""});
  }
  if (shown == 0) return "";
  std::string text = "\n" + table.to_string();
  const std::string forgotten = session.text("events_forgotten");
  if (counts(forgotten)) text += fmt::format("and {} earlier events, forgotten\n", forgotten);
  return text;
}

std::string state_text(const Place& session) {
  const std::string time_left = time_text(session.text("ttl_s"));
  std::string text = session.text("complete") == "yes"
                         ? "complete"
                         : "incomplete, so nothing is relayed: one party is not known";
  if (session.text("lingering") == "yes") text = "deleted, kept for another branch to answer";
  text += fmt::format("; {} old", time_text(session.text("age_s")));
  if (time_left != "-") text += fmt::format(", ends in {} unless media comes", time_left);
  return text;
}

std::string answered_text(const Place& session) {
  std::string answered;
  for (const NamedValue& value : session.below("answered").all()) {
    if (!value.name.ends_with(".tag")) continue;
    answered += fmt::format("{}{}", answered.empty() ? "" : ", ", value.value);
  }
  return answered.empty() ? "nobody" : answered;
}

std::string explain(const Place& session, const Place& help) {
  std::string text =
      fmt::format("\nsession from {}, answered by {}\n{}\n\n", session.text("from_tag"),
                  answered_text(session), state_text(session));
  for (const char* party : kParties) text += direction_text(session, help, party);
  for (const char* party : kParties) text += party_text(session, party);
  return text + events_text(session, help.below("event"));
}

}  // namespace

Result<std::string> explain_session(std::string_view json) {
  const auto values = flatten_json(json);
  if (!values) return tl::unexpected(values.error());
  const Place call(*values, "");
  std::string text = fmt::format("call {}\n", call.text("call_id"));
  size_t shown = 0;
  for (;; ++shown) {
    const Place session = call.below("sessions").below(std::to_string(shown));
    if (session.all().empty()) break;
    text += explain(session, call.below("help"));
  }
  if (shown == 0) {
    return fail(fmt::format("the relay answered {}: expected a list \"sessions\"", quoted(json)));
  }
  const std::string not_shown = call.text("not_shown");
  if (counts(not_shown)) text += fmt::format("\nand {} more sessions\n", not_shown);
  return text;
}

}  // namespace relay::tools
