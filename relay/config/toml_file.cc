#include "relay/config/toml_file.h"

#include <fmt/core.h>

#define TOML_EXCEPTIONS 0
#include <toml++/toml.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <span>

#include "relay/base/log.h"
#include "relay/config/check.h"
#include "relay/config/rtpproxy_file.h"
#include "relay/config/settings.h"
#include "relay/config/voice_rules.h"

namespace relay {
namespace {

enum class ValueKind : uint8_t {
  text,
  text_list,
  one_or_more_texts,
  address_list,
  integer,
  boolean,
};

constexpr std::string_view kVoice = "voice";

struct Key {
  std::string_view section, name;
  ValueKind kind;
  OptionId option;
};

constexpr Key kKeys[] = {
#define TOML_KEY(section, name, kind, option, when) \
  {#section, #name, ValueKind::kind, OptionId::option},
#include "relay/config/toml_keys.def"
#undef TOML_KEY
};

std::string_view expected_kind(ValueKind kind) {
  switch (kind) {
    case ValueKind::text:
      return "a string in quotes";
    case ValueKind::text_list:
    case ValueKind::address_list:
      return "a list of strings";
    case ValueKind::one_or_more_texts:
      return "a string in quotes or a list of them";
    case ValueKind::integer:
      return "a whole number";
    case ValueKind::boolean:
      return "true or false";
  }
  return "";
}

// What a key of [voice], PROFILE.KEY, or auto.NUMBER.KEY takes; nothing for one that there is not.
std::optional<ValueKind> voice_key_kind(std::string_view path) {
  struct Row {
    std::string_view key;
    ValueKind kind;
  };
  constexpr Row kRows[] = {
#define VOICE_LIMIT(key, kind) {#key, ValueKind::kind},
#define VOICE_KEY(key, kind, drivers) {"." #key, ValueKind::kind},
#include "relay/config/voice_keys.def"
#undef VOICE_KEY
#undef VOICE_LIMIT
  };
  constexpr Row kRuleRows[] = {
#define VOICE_RULE(key, kind) {"." #key, ValueKind::kind},
#include "relay/config/voice_rule_keys.def"
#undef VOICE_RULE
  };
  const auto kind_of = [&](std::span<const Row> rows, std::string_view key) {
    const auto row =
        std::find_if(rows.begin(), rows.end(), [&](const Row& each) { return each.key == key; });
    return row == rows.end() ? std::nullopt : std::optional(row->kind);
  };
  const size_t dot = path.find('.'), last_dot = path.rfind('.');
  if (dot == std::string_view::npos) return kind_of(kRows, path);
  return path.substr(0, dot) == kVoiceRules ? kind_of(kRuleRows, path.substr(last_dot))
                                            : kind_of(kRows, path.substr(dot));
}

std::string at_line(const std::string& name, const toml::source_region& source) {
  return fmt::format("{}:{}", name, source.begin.line);
}

tl::unexpected<Error> unknown_name(const std::string& where, std::string_view what,
                                   const std::string& name,
                                   const std::vector<std::string_view>& known) {
  const std::string_view nearest = nearest_name(name, known);
  return fail(fmt::format("{}: unknown {} {}{}", where, what, relay::quoted(name),
                          nearest.empty() ? "" : fmt::format(": did you mean {}?", nearest)));
}

std::vector<std::string_view> known_sections() {
  std::vector<std::string_view> names;
  for (const Key& key : kKeys) {
    if (names.empty() || names.back() != key.section) names.push_back(key.section);
  }
  names.push_back(kVoice);
  return names;
}

std::vector<std::string_view> known_keys(std::string_view section) {
  std::vector<std::string_view> names;
  for (const Key& key : kKeys) {
    if (key.section == section) names.push_back(key.name);
  }
  return names;
}

OptionId address_option(std::string_view text) {
  return text.find(':') != std::string_view::npos ? OptionId::listen_ipv6 : OptionId::listen_ipv4;
}

// The file has one list of addresses where the command line has -l and -6: a colon tells IPv6. A
// bridge between the families becomes one entry of each.
void add_address(std::vector<Setting>& settings, const std::string& text,
                 const std::string& source) {
  const size_t slash = text.find('/');
  const std::string internal = text.substr(0, slash);
  const std::string external = slash == std::string::npos ? "" : text.substr(slash + 1);
  if (internal.empty() || external.empty() ||
      address_option(internal) == address_option(external)) {
    settings.push_back({address_option(text), text, source});
    return;
  }
  settings.push_back({address_option(internal), internal, source});
  settings.push_back({address_option(external), "/" + external, source});
}

Status add_list(std::vector<Setting>& settings, const Key& key, const toml::array& list,
                const std::string& name, const std::string& source) {
  for (const toml::node& node : list) {
    const auto* text = node.as_string();
    if (text == nullptr) {
      return fail(fmt::format("{}: {}.{}: expected {}", at_line(name, node.source()), key.section,
                              key.name, expected_kind(key.kind)));
    }
    if (key.kind == ValueKind::address_list) {
      add_address(settings, text->get(), source);
    } else {
      settings.push_back({key.option, text->get(), source});
    }
  }
  return {};
}

Status add_value(std::vector<Setting>& settings, const Key& key, const toml::node& node,
                 const std::string& name) {
  const std::string where = at_line(name, node.source());
  const std::string source = fmt::format("{}: {}.{}", where, key.section, key.name);
  const auto add = [&](std::string value) {
    settings.push_back({key.option, std::move(value), source});
    return Status{};
  };
  const bool is_list = key.kind == ValueKind::text_list || key.kind == ValueKind::address_list;
  if (is_list && node.is_array()) return add_list(settings, key, *node.as_array(), name, source);
  if (key.kind == ValueKind::text && node.is_string()) return add(node.as_string()->get());
  if (key.kind == ValueKind::integer && node.is_integer()) {
    return add(fmt::format("{}", node.as_integer()->get()));
  }
  if (key.kind == ValueKind::boolean && node.is_boolean()) {
    return add(node.as_boolean()->get() ? "yes" : "no");
  }
  return fail(fmt::format("{}: expected {}", source, expected_kind(key.kind)));
}

// [voice] and [voice.PROFILE]: the keys are checked where their values are.
Status add_voice_value(std::vector<Setting>& settings, const std::string& path,
                       const toml::node& node, const std::string& name) {
  const auto kind = voice_key_kind(path);
  const auto refused = [&](const std::string& source) {
    return fail(fmt::format("{}: expected {}", source,
                            kind ? expected_kind(*kind) : "a key of [voice] or a profile"));
  };
  const auto add = [&](const toml::node& value) -> Status {
    const std::string source = fmt::format("{}: voice.{}", at_line(name, value.source()), path);
    std::string text;
    if (value.is_string()) {
      text = value.as_string()->get();
    } else if (value.is_integer()) {
      text = fmt::format("{}", value.as_integer()->get());
    } else if (value.is_boolean()) {
      text = value.as_boolean()->get() ? "yes" : "no";
    } else {
      return refused(source);
    }
    settings.push_back({OptionId::voice, path + "=" + text, source});
    return {};
  };
  const bool may_be_list = kind == ValueKind::text_list || kind == ValueKind::one_or_more_texts;
  if (kind && (node.is_array() ? !may_be_list : kind == ValueKind::text_list)) {
    return refused(fmt::format("{}: voice.{}", at_line(name, node.source()), path));
  }
  if (!node.is_array()) return add(node);
  for (const toml::node& element : *node.as_array()) {
    if (auto status = add(element); !status) return status;
  }
  return {};
}

// A profile, or one of the rules.
Status add_voice_table(std::vector<Setting>& settings, const std::string& path,
                       const toml::table& table, const std::string& name) {
  for (const auto& [key, value] : table) {
    const std::string key_path = path + "." + std::string(key.str());
    if (auto status = add_voice_value(settings, key_path, value, name); !status) return status;
  }
  return {};
}

Status add_voice(std::vector<Setting>& settings, const toml::table& table,
                 const std::string& name) {
  for (const auto& [toml_key, node] : table) {
    const std::string key(toml_key.str());
    Status status;
    if (node.is_table()) {
      status = add_voice_table(settings, key, *node.as_table(), name);
    } else if (key == kVoiceRules && node.is_array_of_tables()) {
      int number = 0;
      for (const toml::node& rule : *node.as_array()) {
        const std::string path = fmt::format("{}.{}", key, ++number);
        status = add_voice_table(settings, path, *rule.as_table(), name);
        if (!status) return status;
      }
    } else {
      status = add_voice_value(settings, key, node, name);
    }
    if (!status) return status;
  }
  return {};
}

Status add_section(std::vector<Setting>& settings, const std::string& section,
                   const toml::table& table, const std::string& name) {
  for (const auto& [toml_key, node] : table) {
    // clang 14 lets no lambda capture a structured binding.
    const std::string_view key_name = toml_key.str();
    const auto* key = std::find_if(std::begin(kKeys), std::end(kKeys), [&](const Key& candidate) {
      return candidate.section == section && candidate.name == key_name;
    });
    if (key == std::end(kKeys)) {
      return unknown_name(at_line(name, toml_key.source()), fmt::format("key of [{}]", section),
                          std::string(key_name), known_keys(section));
    }
    if (auto status = add_value(settings, *key, node, name); !status) return status;
  }
  return {};
}

}  // namespace

Result<std::vector<Setting>> read_toml_text(std::string_view text, const std::string& name) {
  const toml::parse_result parsed = toml::parse(text, name);
  if (!parsed) {
    return fail(fmt::format("{}: {}", at_line(name, parsed.error().source()),
                            parsed.error().description()));
  }
  std::vector<Setting> settings;
  for (const auto& [section, node] : parsed.table()) {
    const std::string section_name(section.str());
    const std::vector<std::string_view> known = known_sections();
    if (std::find(known.begin(), known.end(), section_name) == known.end()) {
      return unknown_name(at_line(name, section.source()), "section", section_name, known);
    }
    if (!node.is_table()) {
      return fail(fmt::format("{}: {} is a section, expected [{}]", at_line(name, node.source()),
                              section_name, section_name));
    }
    const toml::table& table = *node.as_table();
    if (auto status = section_name == kVoice ? add_voice(settings, table, name)
                                             : add_section(settings, section_name, table, name);
        !status) {
      return tl::unexpected(status.error());
    }
  }
  return settings;
}

Result<std::vector<Setting>> read_config_file(const std::string& path) {
  if (std::error_code error; !std::filesystem::is_regular_file(path, error)) {
    return fail(fmt::format("--config: {}: {}", relay::quoted(path),
                            error ? error.message() : "expected a regular file"));
  }
  std::ifstream file(path, std::ios::binary);
  const std::string text((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  if (!file) return fail_errno(fmt::format("--config: {}: cannot read", relay::quoted(path)));
  return is_rtpproxy_text(text) ? read_rtpproxy_text(text, path) : read_toml_text(text, path);
}

Result<RuntimeConfig> load_runtime(const StartupConfig& running) {
  auto file = read_config_file(running.config_file);
  if (!file) return tl::unexpected(file.error());
  return build_runtime(merge_settings(std::move(*file), running.command_line), running);
}

}  // namespace relay
