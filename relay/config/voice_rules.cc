#include "relay/config/voice_rules.h"

#include <fmt/core.h>

#include <algorithm>
#include <charconv>
#include <iterator>
#include <utility>

#include "relay/base/log.h"
#include "relay/config/voice_choices.h"

namespace relay {
namespace {

using Rule = VoiceRule;

constexpr VoiceChoice<VoiceOccasion> kOccasions[] = {
    {"answer", VoiceOccasion::answer},
    {"record", VoiceOccasion::record},
    {"instead-of-record", VoiceOccasion::instead_of_record}};
constexpr VoiceChoice<bool> kParties[] = {{"caller", false}, {"callee", true}};

Status ranges(std::vector<AddressRange>& ranges, const Setting& setting) {
  const auto range = AddressRange::parse(setting.value);
  if (!range) return refuse(setting, "expected an address or ADDRESS/BITS");
  ranges.push_back(*range);
  return {};
}

Status listener(std::vector<VoiceRuleListener>& listeners, const Setting& setting) {
  listeners.push_back({setting.value, setting.source, {}});
  return {};
}

Status text(std::string& value, const Setting& setting) {
  if (setting.value.empty()) return refuse(setting, "expected some text");
  value = setting.value;
  return {};
}

struct Setter {
  std::string_view name;
  Status (*set)(Rule&, const Setting&);
};
constexpr Setter kSetters[] = {
    {"call_id", [](Rule& r, const Setting& s) { return text(r.call_id, s); }},
    {"caller", [](Rule& r, const Setting& s) { return ranges(r.caller, s); }},
    {"callee", [](Rule& r, const Setting& s) { return ranges(r.callee, s); }},
    {"caller_listener", [](Rule& r, const Setting& s) { return listener(r.caller_listeners, s); }},
    {"callee_listener", [](Rule& r, const Setting& s) { return listener(r.callee_listeners, s); }},
    // Zero cannot be given by a command.
    {"tos", [](Rule& r, const Setting& s) { return set_number(r.tos, s, 1, 255); }},
    {"on", [](Rule& r, const Setting& s) { return choose(r.on, s, kOccasions); }},
    {"profile", [](Rule& r, const Setting& s) { return text(r.profile, s); }},
    {"party", [](Rule& r, const Setting& s) { return choose(r.is_callee, s, kParties); }},
    {"policy", [](Rule& r, const Setting& s) { return choose(r.policy, s, kVoicePolicies); }},
    {"stereo", [](Rule& r, const Setting& s) { return choose(r.stereo, s, kYesOrNo); }},
};
constexpr std::string_view kKeys[] = {
#define VOICE_RULE(key, kind) #key,
#include "relay/config/voice_rule_keys.def"
#undef VOICE_RULE
};
static_assert(std::size(kSetters) == std::size(kKeys));

Rule& rule_numbered(VoiceConfig& config, unsigned number, const Setting& setting) {
  for (Rule& rule : config.rules) {
    if (rule.number == number) return rule;
  }
  Rule& rule = config.rules.emplace_back();
  rule.number = number;
  rule.source = setting.source;
  return rule;
}

std::vector<std::string> names_of(const LocalAddresses& local, size_t entry) {
  const LocalAddressConfig& address = local.list[entry];
  std::vector<std::string> names;
  if (local.bridging && entry < 2) names.emplace_back(entry == 0 ? "internal" : "external");
  if (!address.label.empty()) names.push_back(address.label);
  names.push_back(address.bind.to_string());
  if (!address.advertised.empty()) names.push_back(address.advertised);
  return names;
}

Status find_listener(VoiceRuleListener& listener, const LocalAddresses& local) {
  const auto numeric = IpAddress::parse(listener.name);
  const std::string wanted = numeric ? numeric->to_string() : listener.name;
  std::string known;
  for (size_t entry = 0; entry < local.list.size(); ++entry) {
    const std::vector<std::string> names = names_of(local, entry);
    if (std::find(names.begin(), names.end(), wanted) != names.end()) {
      listener.addresses.push_back(local.list[entry]);
    }
    for (const std::string& name : names) known += (known.empty() ? "" : ", ") + name;
  }
  if (!listener.addresses.empty()) return {};
  return fail(fmt::format("{}: {}: expected a media address, one of {}", listener.source,
                          quoted(listener.name), known));
}

Status finish_rule(const VoiceConfig& config, Rule& rule, const LocalAddresses& local) {
  const auto refused = [&](const std::string& text) {
    return fail(fmt::format("{}: voice rule {}: {}", rule.source, rule.number, text));
  };
  if (rule.profile.empty()) return refused("expected a profile");
  const auto profile =
      std::find_if(config.profiles.begin(), config.profiles.end(),
                   [&](const auto& candidate) { return candidate.name == rule.profile; });
  if (profile == config.profiles.end()) {
    return refused(fmt::format("profile {}: expected one of [voice.NAME]", quoted(rule.profile)));
  }
  for (auto* listeners : {&rule.caller_listeners, &rule.callee_listeners}) {
    for (VoiceRuleListener& listener : *listeners) {
      if (auto found = find_listener(listener, local); !found) return found;
    }
  }
  if (rule.on != VoiceOccasion::answer) {
    if (rule.policy && *rule.policy != VoicePolicy::tee) {
      return refused("what is recorded is listened to only: expected the policy tee");
    }
    rule.policy = VoicePolicy::tee;
  }
  if (rule.stereo && rule.policy.value_or(profile->policy) != VoicePolicy::tee) {
    return refused("stereo goes with the policy tee");
  }
  return {};
}

}  // namespace

Status set_voice_rule(VoiceConfig& config, std::string_view path, const Setting& setting) {
  const size_t dot = path.find('.');
  unsigned number = 0;
  const std::string_view digits = path.substr(0, dot);
  const auto [end, failure] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
  if (dot == std::string_view::npos || failure != std::errc{} ||
      end != digits.data() + digits.size()) {
    return fail(
        fmt::format("{}: \"auto\" is no profile: expected rules, [[voice.auto]]", setting.source));
  }
  const std::string_view key = path.substr(dot + 1);
  const auto* setter = std::find_if(std::begin(kSetters), std::end(kSetters),
                                    [&](const Setter& known) { return known.name == key; });
  if (setter != std::end(kSetters)) {
    return setter->set(rule_numbered(config, number, setting), setting);
  }
  const std::string_view nearest = nearest_name(key, kKeys);
  return fail(fmt::format("{}: unknown key {}{}", setting.source, quoted(key),
                          nearest.empty() ? "" : fmt::format(": did you mean {}?", nearest)));
}

Status finish_voice_rules(VoiceConfig& config, const LocalAddresses& local) {
  std::sort(config.rules.begin(), config.rules.end(),
            [](const Rule& one, const Rule& other) { return one.number < other.number; });
  for (Rule& rule : config.rules) {
    if (auto finished = finish_rule(config, rule, local); !finished) return finished;
  }
  return {};
}

}  // namespace relay
