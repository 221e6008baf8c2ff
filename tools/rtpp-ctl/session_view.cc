#include "tools/rtpp-ctl/session_view.h"

#include <fmt/core.h>

#include "relay/base/log.h"
#include "tools/common/text_table.h"
#include "tools/rtpp-ctl/place.h"

namespace relay::tools {
namespace {

// `source_refused 3, loop 1`.
std::string drops_text(const Place& dropped) {
  std::string result;
  for (const NamedValue& reason : dropped.all()) {
    result += fmt::format("{}{} {}", result.empty() ? "" : ", ", reason.name, reason.value);
  }
  return result.empty() ? "-" : result;
}

std::string tags_text(const Place& session) {
  std::string answered;
  for (const NamedValue& value : session.below("answered").all()) {
    if (!value.name.ends_with(".tag")) continue;
    answered += fmt::format("{}{}", answered.empty() ? "" : ", ", value.value);
  }
  return fmt::format("from {}, answered by {}", session.text("from_tag"),
                     answered.empty() ? "nobody" : answered);
}

std::string addresses_table(const Place& session) {
  TextTable table({{"party"}, {"local"}, {"signalled"}, {"latched on"}, {"by"}, {"policy"}});
  for (const char* party : {"caller", "callee"}) {
    const Place leg = session.below(party);
    const Place latch = leg.below("latch");
    table.add_row({party, leg.text("local"), leg.text("signalled"), latch.text("holder"),
                   latch.text("rank"), leg.text("policy")});
  }
  return table.to_string();
}

std::string packets_table(const Place& session) {
  TextTable table({{"from"},
                   {"received", true},
                   {"forwarded", true},
                   {"lost", true},
                   {"jitter", true},
                   {"longest gap", true},
                   {"dropped"}});
  for (const char* party : {"caller", "callee"}) {
    for (const char* component : {"rtp", "rtcp"}) {
      const Place flow = session.below(party).below(component);
      const Place stream = flow.below("stream");
      table.add_row({fmt::format("{} {}", party, component), flow.text("received"),
                     flow.text("forwarded"), stream.text("lost"), stream.text("jitter_average"),
                     stream.text("longest_gap_s"), drops_text(flow.below("dropped"))});
    }
  }
  return table.to_string();
}

// Empty when nothing is recorded or copied.
std::string recordings_table(const Place& session) {
  TextTable table(
      {{"of"}, {"recorded in, copied to"}, {"state"}, {"packets", true}, {"missing", true}});
  bool any = false;
  for (const char* party : {"caller", "callee"}) {
    for (size_t i = 0;; ++i, any = true) {
      const Place recording = session.below(party).below("recordings").below(std::to_string(i));
      if (!recording.has("file")) break;
      const std::string why =
          recording.has("reason") ? fmt::format(" ({})", recording.text("reason")) : "";
      table.add_row({party, recording.text("file"), recording.text("state") + why,
                     recording.text("packets"), recording.text("missing")});
    }
    for (size_t i = 0;; ++i, any = true) {
      const Place copy = session.below(party).below("copies").below(std::to_string(i));
      if (!copy.has("to")) break;
      table.add_row(
          {party, "udp:" + copy.text("to"), "running", copy.text("sent"), copy.text("failed")});
    }
  }
  return any ? "\n" + table.to_string() : "";
}

// A line for each party that hears a prompt.
std::string prompts_text(const Place& session) {
  std::string text;
  for (const char* party : {"caller", "callee"}) {
    const Place prompt = session.below(party).below("prompt");
    if (!prompt.has("name")) continue;
    const std::string left = prompt.text("times_left");
    text += fmt::format("\n{} hears the prompt {}: payload type {}, at {} s, {}\n", party,
                        prompt.text("name"), prompt.text("payload_type"), prompt.text("position_s"),
                        left == "-" ? "without end" : left + " times to go");
  }
  return text;
}

std::string session_text(const Place& session) {
  return fmt::format("{}\ncomplete {}, age {} s, {} s to live\n\n{}\n{}{}{}", tags_text(session),
                     session.text("complete"), session.text("age_s"), session.text("ttl_s"),
                     addresses_table(session), packets_table(session), recordings_table(session),
                     prompts_text(session));
}

}  // namespace

Result<std::string> show_session(std::string_view json) {
  const auto values = flatten_json(json);
  if (!values) return tl::unexpected(values.error());
  const Place call(*values, "");
  std::string result = fmt::format("call {}\n", call.text("call_id"));
  size_t shown = 0;
  for (;; ++shown) {
    const Place session = call.below("sessions").below(std::to_string(shown));
    if (session.all().empty()) break;
    result += "\n" + session_text(session);
  }
  if (shown == 0) {
    return fail(fmt::format("the relay answered {}: expected a list \"sessions\"", quoted(json)));
  }
  const std::string not_shown = call.text("not_shown");
  if (not_shown != "-" && not_shown != "0") {
    result += fmt::format("\nand {} more sessions\n", not_shown);
  }
  return result;
}

}  // namespace relay::tools
