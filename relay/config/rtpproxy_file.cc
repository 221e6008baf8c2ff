#include "relay/config/rtpproxy_file.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <limits>
#include <optional>
#include <span>

#include "relay/base/log.h"
#include "relay/config/check.h"
#include "relay/config/modules.h"
#include "relay/config/ucl_text.h"

namespace relay {
namespace {

constexpr std::array<std::string_view, 1> kPlainKeys{"load"};
constexpr std::array<std::string_view, 5> kHepKeys{"load", "capt_host", "capt_port", "capt_ptype",
                                                   "capt_id"};

// One `NAME { … }` of the modules section.
class ModuleSection {
 public:
  ModuleSection(const UclMember& section, const std::string& file)
      : section_(section), file_(file) {}

  Result<Setting> read() {
    const std::string where = fmt::format("{}:{}: modules.{}", file_, section_.line, section_.key);
    if (section_.value.kind != UclValue::Kind::object) {
      return fail(fmt::format("{}: expected {{ ... }}", where));
    }
    auto load = text("load");
    if (!load) return tl::unexpected(load.error());
    const std::string path = *load ? (*load)->value : section_.key;
    const auto id = module_named(path);
    if (id == ModuleId::acct_rtcp_hep) return read_hep(where);
    if (auto checked = check_keys(kPlainKeys); !checked) return tl::unexpected(checked.error());
    return Setting{OptionId::module, path, *load ? (*load)->source : where};
  }

 private:
  Result<Setting> read_hep(const std::string& where) const {
    if (auto checked = check_keys(kHepKeys); !checked) return tl::unexpected(checked.error());
    const auto host = text("capt_host");
    const auto transport = text("capt_ptype");
    const auto port = integer("capt_port", 9060, 1, 65535);
    const auto id = integer("capt_id", 0, 0, std::numeric_limits<uint32_t>::max());
    for (const auto* given : {&host, &transport}) {
      if (!*given) return tl::unexpected(given->error());
    }
    for (const auto* given : {&port, &id}) {
      if (!*given) return tl::unexpected(given->error());
    }
    if (!*host) return fail(fmt::format("{}: capt_host is missing: expected an address", where));
    const std::string protocol = *transport ? (*transport)->value : "udp";
    if (protocol != "udp" && protocol != "tcp") return refuse(**transport, "expected udp or tcp");
    std::string address = (*host)->value;
    if (address.find(':') != address.npos && !address.starts_with("[")) {
      address = fmt::format("[{}]", address);
    }
    return Setting{OptionId::hep, fmt::format("{}:{}:{}/{}", protocol, address, *port, *id), where};
  }

  Result<void> check_keys(std::span<const std::string_view> known) const {
    for (const UclMember& member : section_.value.members) {
      const auto same = [&](const UclMember& other) { return other.key == member.key; };
      const auto& members = section_.value.members;
      if (std::find(known.begin(), known.end(), member.key) == known.end()) {
        const std::string_view nearest = nearest_name(member.key, known);
        return fail(fmt::format("{}:{}: modules.{}: unknown key {}{}", file_, member.line,
                                section_.key, relay::quoted(member.key),
                                nearest.empty() ? "" : fmt::format(": did you mean {}?", nearest)));
      }
      if (std::count_if(members.begin(), members.end(), same) > 1) {
        return fail(fmt::format("{}:{}: modules.{}.{}: expected once", file_, member.line,
                                section_.key, member.key));
      }
    }
    return {};
  }

  const UclMember* find(std::string_view key) const {
    for (const UclMember& member : section_.value.members) {
      if (member.key == key) return &member;
    }
    return nullptr;
  }

  Setting setting_of(const UclMember& member) const {
    return {OptionId::module, member.value.text,
            fmt::format("{}:{}: modules.{}.{}", file_, member.line, section_.key, member.key)};
  }

  Result<std::optional<Setting>> text(std::string_view key) const {
    const UclMember* member = find(key);
    if (member == nullptr) return std::nullopt;
    const Setting setting = setting_of(*member);
    if (member->value.kind != UclValue::Kind::string || setting.value.empty()) {
      return refuse(setting, "expected a string");
    }
    return setting;
  }

  Result<int64_t> integer(std::string_view key, int64_t by_default, int64_t min,
                          int64_t max) const {
    const UclMember* member = find(key);
    if (member == nullptr) return by_default;
    const Setting setting = setting_of(*member);
    if (member->value.kind != UclValue::Kind::number) {
      return refuse(setting,
                    fmt::format("expected a whole number from {} to {}, without quotes", min, max));
    }
    return parse_integer(setting, min, max);
  }

  const UclMember& section_;
  const std::string& file_;
};

}  // namespace

bool is_rtpproxy_text(std::string_view text) {
  constexpr std::string_view kSpace = " \t\r";
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    line.remove_prefix(std::min(line.find_first_not_of(kSpace), line.size()));
    if (line.starts_with("{") || line.starts_with("/*")) return true;
    const bool in_quotes = line.starts_with("\"modules\"");
    if (!in_quotes && !line.starts_with("modules")) continue;
    line.remove_prefix(std::string_view("modules").size() + (in_quotes ? 2 : 0));
    line.remove_prefix(std::min(line.find_first_not_of(" \t\r:="), line.size()));
    if (line.empty() || line.front() == '{' || line.front() == '#') return true;
  }
  return false;
}

Result<std::vector<Setting>> read_rtpproxy_text(std::string_view text, const std::string& name) {
  const auto top = parse_ucl(text, name);
  if (!top) return tl::unexpected(top.error());
  std::vector<Setting> settings;
  for (const UclMember& member : *top) {
    if (member.key != "modules") continue;
    if (member.value.kind != UclValue::Kind::object) {
      return fail(fmt::format("{}:{}: modules: expected {{ ... }}", name, member.line));
    }
    for (const UclMember& section : member.value.members) {
      auto setting = ModuleSection(section, name).read();
      if (!setting) return tl::unexpected(setting.error());
      settings.push_back(std::move(*setting));
    }
  }
  return settings;
}

}  // namespace relay
