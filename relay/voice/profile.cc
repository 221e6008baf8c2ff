#include "relay/voice/profile.h"

#include <fmt/core.h>

#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>

#include "relay/base/log.h"
#include "relay/voice/tls.h"
#include "relay/voice/url.h"
#include "relay/voice/variables.h"

namespace relay {
namespace {

constexpr std::streamsize kTemplateBytesMax = 256 * 1024;

std::string key_of(const VoiceProfileConfig& config, std::string_view key) {
  return fmt::format("{}: voice.{}.{}", config.source, config.name, key);
}

Result<std::string> read_template(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::string text(static_cast<size_t>(kTemplateBytesMax) + 1, '\0');
  file.read(text.data(), kTemplateBytesMax + 1);
  if (file.bad() || !file.eof()) {
    if (file.gcount() > kTemplateBytesMax) {
      return fail(fmt::format("{}: longer than {} bytes", relay::quoted(path), kTemplateBytesMax));
    }
    return fail_errno(fmt::format("{}: cannot read", relay::quoted(path)));
  }
  text.resize(static_cast<size_t>(file.gcount()));
  const auto parsed = nlohmann::json::parse(text, nullptr, false);
  if (!parsed.is_object()) {
    return fail(fmt::format("{}: expected a JSON object; variables stand inside of strings",
                            relay::quoted(path)));
  }
  if (auto checked = check_variables(text); !checked) {
    return tl::unexpected(with_context(relay::quoted(path), checked.error()));
  }
  return text;
}

}  // namespace

Result<std::shared_ptr<const VoiceProfile>> load_voice_profile(const VoiceProfileConfig& config) {
  auto profile = std::make_shared<VoiceProfile>();
  static_cast<VoiceProfileConfig&>(*profile) = config;
  const auto refused = [&](std::string_view key, const Error& error) {
    return tl::unexpected(with_context(key_of(config, key), error));
  };

  for (const VoiceParameter& line : config.header_lines) {
    if (auto checked = check_variables(line.value); !checked) {
      return refused("headers", checked.error());
    }
    auto value = read_secrets(line.value);
    if (!value) return refused("headers", value.error());
    profile->headers.push_back({line.name, std::move(*value)});
  }
  auto secret = read_secrets(config.signature_key);
  if (!secret) return refused("signature_key", secret.error());
  profile->signature_secret = std::move(*secret);
  for (const std::string* text : {&config.url, &config.greeting}) {
    if (auto checked = check_variables(*text); !checked) {
      return refused(text == &config.url ? "url" : "greeting", checked.error());
    }
  }
  if (!config.template_file.empty()) {
    auto text = read_template(config.template_file);
    if (!text) return refused("template_file", text.error());
    profile->session_template = std::move(*text);
  }
  auto tls = TlsContext::make(config.tls);
  if (!tls) return refused("tls", tls.error());
  profile->tls_context = std::move(*tls);
  return profile;
}

Result<VoiceProfiles> load_voice_profiles(const VoiceConfig& config) {
  VoiceProfiles profiles;
  for (const VoiceProfileConfig& row : config.profiles) {
    auto profile = load_voice_profile(row);
    if (!profile) return tl::unexpected(profile.error());
    profiles[row.name] = std::move(*profile);
  }
  return profiles;
}

}  // namespace relay
