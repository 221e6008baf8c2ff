#include "relay/config/voice_settings.h"

#include <fmt/core.h>

#include <algorithm>
#include <utility>

#include "relay/base/log.h"
#include "relay/config/voice_choices.h"
#include "relay/config/voice_rules.h"

namespace relay {
namespace {

using Profile = VoiceProfileConfig;

enum Drivers : unsigned {
  twilio = 1,
  doubao = 2,
  l16 = 4,
  openai = 8,
  audiosocket = 16,
  websocket = twilio | doubao | l16 | openai,
  every = websocket | audiosocket,
};

constexpr VoiceChoice<VoiceDriverKind> kDrivers[] = {{"twilio", VoiceDriverKind::twilio},
                                                     {"doubao", VoiceDriverKind::doubao},
                                                     {"l16", VoiceDriverKind::l16},
                                                     {"openai", VoiceDriverKind::openai},
                                                     {"audiosocket", VoiceDriverKind::audiosocket}};
constexpr VoiceChoice<VoiceDialect> kDialects[] = {
    {"v1", VoiceDialect::v1},          {"v3", VoiceDialect::v3},
    {"openai", VoiceDialect::openai},  {"openai-beta", VoiceDialect::openai_beta},
    {"azure", VoiceDialect::azure},    {"qwen", VoiceDialect::qwen},
    {"stepfun", VoiceDialect::stepfun}};
constexpr VoiceChoice<VoiceAudio> kAudio[] = {{"auto", VoiceAudio::automatic},
                                              {"pcmu", VoiceAudio::pcmu},
                                              {"pcma", VoiceAudio::pcma},
                                              {"s16", VoiceAudio::s16}};
constexpr VoiceChoice<VoiceEndPolicy> kEndPolicies[] = {
    {"pass", VoiceEndPolicy::pass}, {"hangup-event", VoiceEndPolicy::hangup_event}};

std::string rates_up_to(int most_hz) {
  std::string names;
  for (const int hz : kVoiceRatesHz) {
    if (hz <= most_hz) names += fmt::format("{}{}", names.empty() ? "" : ", ", hz);
  }
  return names;
}

Status rate(int& value, const Setting& setting) {
  for (const int hz : kVoiceRatesHz) {
    if (setting.value != std::to_string(hz)) continue;
    value = hz;
    return {};
  }
  return refuse(setting, "expected a sample rate, one of " + rates_up_to(kVoiceRatesHz.back()));
}

Status text(std::string& value, const Setting& setting) {
  const bool has_control = std::any_of(setting.value.begin(), setting.value.end(),
                                       [](char c) { return static_cast<unsigned char>(c) < 0x20; });
  if (has_control) return refuse(setting, "expected text without control characters");
  value = setting.value;
  return {};
}

// The value of a header may be a secret: it is not shown.
Status header(std::vector<VoiceParameter>& headers, const Setting& setting) {
  const size_t colon = setting.value.find(':');
  const std::string name = setting.value.substr(0, colon);
  const bool is_token = !name.empty() && std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_';
  });
  const size_t begin =
      setting.value.find_first_not_of(' ', std::min(colon, setting.value.size() - 1) + 1);
  std::string value;
  const Setting rest{setting.option, begin == std::string::npos ? "" : setting.value.substr(begin),
                     setting.source};
  if (colon == std::string::npos || !is_token || !text(value, rest)) {
    return fail(setting.source + ": expected \"NAME: VALUE\"");
  }
  headers.push_back({name, value});
  return {};
}

Status parameter(std::vector<VoiceParameter>& parameters, const Setting& setting) {
  const size_t equals = setting.value.find('=');
  if (equals == 0 || equals == std::string::npos) return refuse(setting, "expected NAME=VALUE");
  parameters.push_back({setting.value.substr(0, equals), setting.value.substr(equals + 1)});
  return {};
}

Status fail_policy(Profile& profile, const Setting& setting) {
  constexpr std::string_view kPlay = "play ";
  if (setting.value.starts_with(kPlay) && setting.value.size() > kPlay.size()) {
    profile.on_fail = VoiceFailPolicy::play;
    profile.on_fail_file = setting.value.substr(kPlay.size());
  } else if (setting.value == "pass") {
    profile.on_fail = VoiceFailPolicy::pass;
  } else if (setting.value == "silence") {
    profile.on_fail = VoiceFailPolicy::silence;
  } else if (setting.value == "hangup-event") {
    profile.on_fail = VoiceFailPolicy::hangup_event;
  } else {
    return refuse(setting, "expected pass, silence, play FILE or hangup-event");
  }
  return {};
}

struct Key {
  std::string_view name;
  unsigned drivers;
};
constexpr Key kKeys[] = {
#define VOICE_LIMIT(key, kind)
#define VOICE_KEY(key, kind, drivers) {#key, drivers},
#include "relay/config/voice_keys.def"
#undef VOICE_KEY
#undef VOICE_LIMIT
};

constexpr std::string_view kLimits[] = {
#define VOICE_LIMIT(key, kind) #key,
#define VOICE_KEY(key, kind, drivers)
#include "relay/config/voice_keys.def"
#undef VOICE_KEY
#undef VOICE_LIMIT
};

using Set = Status (*)(Profile&, const Setting&);
struct Setter {
  std::string_view name;
  Set set;
};
constexpr Setter kSetters[] = {
    {"driver", [](Profile& p, const Setting& s) { return choose(p.driver, s, kDrivers); }},
    {"dialect", [](Profile& p, const Setting& s) { return choose(p.dialect, s, kDialects); }},
    {"url", [](Profile& p, const Setting& s) { return text(p.url, s); }},
    {"allow_urls",
     [](Profile& p, const Setting& s) { return text(p.allow_urls.emplace_back(), s); }},
    {"subprotocol", [](Profile& p, const Setting& s) { return text(p.subprotocol, s); }},
    {"headers", [](Profile& p, const Setting& s) { return header(p.header_lines, s); }},
    {"parameters", [](Profile& p, const Setting& s) { return parameter(p.parameters, s); }},
    {"template_file", [](Profile& p, const Setting& s) { return text(p.template_file, s); }},
    {"account_sid", [](Profile& p, const Setting& s) { return text(p.account_sid, s); }},
    {"signature_key", [](Profile& p, const Setting& s) { return text(p.signature_key, s); }},
    {"greeting", [](Profile& p, const Setting& s) { return text(p.greeting, s); }},
    {"end_smooth_window_ms",
     [](Profile& p, const Setting& s) {
       return set_number(p.end_smooth_window_ms, s, 500, 50'000);
     }},
    {"rate_hz", [](Profile& p, const Setting& s) { return rate(p.rate_hz, s); }},
    {"play_rate_hz", [](Profile& p, const Setting& s) { return rate(p.play_rate_hz, s); }},
    {"audio", [](Profile& p, const Setting& s) { return choose(p.audio, s, kAudio); }},
    {"policy", [](Profile& p, const Setting& s) { return choose(p.policy, s, kVoicePolicies); }},
    {"on_end", [](Profile& p, const Setting& s) { return choose(p.on_end, s, kEndPolicies); }},
    {"on_fail", fail_policy},
    {"prebuffer_ms",
     [](Profile& p, const Setting& s) { return set_number(p.prebuffer, s, 0, 200); }},
    {"barge_in_after_ms",
     [](Profile& p, const Setting& s) { return set_number(p.barge_in_after, s, 0, 5000); }},
    {"echo_cancellation",
     [](Profile& p, const Setting& s) { return choose(p.echo_cancellation, s, kYesOrNo); }},
    {"echo_tail_ms",
     [](Profile& p, const Setting& s) { return set_number(p.echo_tail, s, 32, 1000); }},
    {"connect_timeout_ms",
     [](Profile& p, const Setting& s) { return set_number(p.connect_timeout, s, 100, 60'000); }},
    {"reply_timeout_ms",
     [](Profile& p, const Setting& s) { return set_number(p.reply_timeout, s, 0, 600'000); }},
    {"reply_late_ms",
     [](Profile& p, const Setting& s) { return set_number(p.reply_late, s, 0, 60'000); }},
    {"reply_stall_ms",
     [](Profile& p, const Setting& s) { return set_number(p.reply_stall, s, 0, 60'000); }},
    {"ping_seconds",
     [](Profile& p, const Setting& s) { return set_number(p.ping_interval, s, 0, 3600); }},
    {"retries", [](Profile& p, const Setting& s) { return set_number(p.retries, s, 0, 10); }},
    {"message_bytes_max",
     [](Profile& p, const Setting& s) {
       return set_number(p.message_bytes_max, s, 4096, 64 << 20);
     }},
    {"verify", [](Profile& p, const Setting& s) { return choose(p.tls.verify, s, kYesOrNo); }},
    {"ca_file", [](Profile& p, const Setting& s) { return text(p.tls.ca_file, s); }},
    {"certificate_file",
     [](Profile& p, const Setting& s) { return text(p.tls.certificate_file, s); }},
    {"key_file", [](Profile& p, const Setting& s) { return text(p.tls.key_file, s); }},
    {"server_name", [](Profile& p, const Setting& s) { return text(p.tls.server_name, s); }},
};
static_assert(std::size(kSetters) == std::size(kKeys));

Profile& profile_named(VoiceConfig& config, const std::string& name, const Setting& setting) {
  for (Profile& profile : config.profiles) {
    if (profile.name == name) return profile;
  }
  Profile& profile = config.profiles.emplace_back();
  profile.name = name;
  profile.source = setting.source;
  return profile;
}

Status unknown_key(const Setting& setting, const std::string& key) {
  std::vector<std::string_view> names;
  for (const Key& known : kKeys) names.push_back(known.name);
  names.insert(names.end(), std::begin(kLimits), std::end(kLimits));
  const std::string_view nearest = nearest_name(key, names);
  return fail(fmt::format("{}: unknown key {}{}", setting.source, quoted(key),
                          nearest.empty() ? "" : fmt::format(": did you mean {}?", nearest)));
}

Status payload_type(VoiceConfig& config, const Setting& setting) {
  const size_t equals = setting.value.find('=');
  VoicePayloadType type;
  const Setting number{setting.option, setting.value.substr(0, equals), setting.source};
  if (equals == std::string::npos || equals + 1 == setting.value.size() ||
      !set_number(type.number, number, 0, 127)) {
    return refuse(setting, "expected NUMBER=ENCODING, such as 111=opus or 96=L16/16000");
  }
  type.encoding = setting.value.substr(equals + 1);
  type.source = setting.source;
  config.payload_types.push_back(std::move(type));
  return {};
}

Status set_limit(VoiceConfig& config, const std::string& key, const Setting& setting) {
  if (key == "sessions_max") return set_number(config.sessions_max, setting, 0, 10'000);
  if (key == "starts_per_minute") return set_number(config.starts_per_minute, setting, 1, 100'000);
  if (key == "payload_types") return payload_type(config, setting);
  if (key == "notify") return choose(config.notify, setting, kYesOrNo);
  if (key == "webhook") {
    config.webhooks.push_back({setting.value, setting.source});
    return {};
  }
  if (key == "webhook_headers") {
    config.webhook_headers_source = setting.source;
    return header(config.webhook_headers, setting);
  }
  return unknown_key(setting, key);
}

bool is_name(std::string_view name) {
  return !name.empty() && name.size() <= 64 && std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_';
  });
}

Status check_keys(const Profile& profile) {
  const unsigned driver = 1U << static_cast<unsigned>(profile.driver);
  for (const VoiceGiven& given : profile.given) {
    const auto* key = std::find_if(std::begin(kKeys), std::end(kKeys),
                                   [&](const Key& known) { return known.name == given.key; });
    if ((key->drivers & driver) != 0) continue;
    const auto& name = kDrivers[static_cast<size_t>(profile.driver)];
    return fail(fmt::format("{}: the driver {} has no such key", given.source, name.first));
  }
  return {};
}

// Dialects stand in the order of their drivers.
Status finish_dialect(Profile& profile) {
  const bool is_doubao = profile.driver == VoiceDriverKind::doubao;
  if (!is_doubao && profile.driver != VoiceDriverKind::openai) return {};
  if (profile.dialect == VoiceDialect::none) {
    profile.dialect = is_doubao ? VoiceDialect::v1 : VoiceDialect::openai;
  }
  const bool of_doubao = profile.dialect == VoiceDialect::v1 || profile.dialect == VoiceDialect::v3;
  if (of_doubao == is_doubao) return {};
  return fail(fmt::format("{}: the dialect is of another driver; expected {}", profile.source,
                          is_doubao ? "v1 or v3" : "openai, openai-beta, azure, qwen or stepfun"));
}

bool is_given(const Profile& profile, std::string_view key) {
  return profile.line_of(key) != nullptr;
}

Status finish_profile(Profile& profile) {
  const bool is_tcp = profile.driver == VoiceDriverKind::audiosocket;
  const auto refused = [&](const std::string& text) {
    return fail(fmt::format("{}: voice profile {}: {}", profile.source, profile.name, text));
  };
  if (!is_given(profile, "driver")) return refused("expected a driver");
  if (profile.url.empty() && profile.allow_urls.empty()) return refused("expected a url");
  std::vector<std::string> urls = profile.allow_urls;
  if (!profile.url.empty()) urls.push_back(profile.url);
  for (const std::string& url : urls) {
    const bool good =
        is_tcp ? url.starts_with("tcp://") : url.starts_with("ws://") || url.starts_with("wss://");
    if (!good)
      return refused(fmt::format("expected {} URLs", is_tcp ? "tcp://" : "ws:// or wss://"));
  }
  if (profile.tls.certificate_file.empty() != profile.tls.key_file.empty()) {
    return refused("expected certificate_file and key_file, or none of them");
  }
  if (auto keys = check_keys(profile); !keys) return keys;
  if (is_tcp && !is_given(profile, "rate_hz")) profile.rate_hz = 8000;
  if (is_tcp && profile.rate_hz > kAudiosocketRateMaxHz) {
    return fail(fmt::format("{}: \"{}\": expected a sample rate of AudioSocket, one of {}",
                            *profile.line_of("rate_hz"), profile.rate_hz,
                            rates_up_to(kAudiosocketRateMaxHz)));
  }
  if (profile.driver == VoiceDriverKind::l16 && !is_given(profile, "subprotocol")) {
    profile.subprotocol = "audio.jambonz.org";
  }
  // Doubao and OpenAI send faster than they are heard; bots of the other protocols mostly do not.
  const bool is_paced =
      profile.driver != VoiceDriverKind::doubao && profile.driver != VoiceDriverKind::openai;
  if (!is_given(profile, "prebuffer_ms")) {
    profile.prebuffer = std::chrono::milliseconds(is_paced ? 60 : 0);
  }
  return finish_dialect(profile);
}

}  // namespace

const std::string* VoiceProfileConfig::line_of(std::string_view key) const {
  const auto found = std::find_if(given.begin(), given.end(),
                                  [&](const VoiceGiven& each) { return each.key == key; });
  return found == given.end() ? nullptr : &found->source;
}

Status set_voice(VoiceConfig& config, const Setting& setting) {
  const size_t equals = setting.value.find('=');
  const std::string path = setting.value.substr(0, equals);
  const size_t dot = path.find('.');
  if (equals == std::string::npos || path.empty()) {
    return refuse(setting, "expected PROFILE.KEY=VALUE, or KEY=VALUE of all profiles");
  }
  Setting value{setting.option, setting.value.substr(equals + 1), setting.source};
  if (setting.source.find(path) == std::string::npos) value.source += " " + path;
  if (dot == std::string::npos) return set_limit(config, path, value);
  const std::string name = path.substr(0, dot), key = path.substr(dot + 1);
  if (name == kVoiceRules) return set_voice_rule(config, key, value);
  if (!is_name(name)) {
    return fail(fmt::format("{}: {}: expected a name of letters, digits, - and _", setting.source,
                            quoted(name)));
  }
  const auto* setter = std::find_if(std::begin(kSetters), std::end(kSetters),
                                    [&](const Setter& known) { return known.name == key; });
  if (setter == std::end(kSetters)) return unknown_key(setting, key);
  Profile& profile = profile_named(config, name, setting);
  profile.given.push_back({key, value.source});
  return setter->set(profile, value);
}

bool is_same_voice_key(const Setting& one, const Setting& other) {
  const auto key = [](const Setting& setting) {
    return setting.value.substr(0, setting.value.find('='));
  };
  return one.option == OptionId::voice && other.option == OptionId::voice && key(one) == key(other);
}

Status finish_voice(VoiceConfig& config, const LocalAddresses& local) {
  for (VoiceProfileConfig& profile : config.profiles) {
    if (auto finished = finish_profile(profile); !finished) return finished;
  }
  return finish_voice_rules(config, local);
}

}  // namespace relay
