#include "relay/config/local_address.h"

#include <fmt/core.h>

#include <algorithm>
#include <cctype>

#include "relay/base/log.h"

namespace relay {
namespace {

Family family_of(const Setting& setting) {
  return setting.option == OptionId::listen_ipv6 ? Family::ipv6 : Family::ipv4;
}

bool has_slash(const Setting& setting) {
  return setting.value.find('/') != std::string::npos;
}

Result<IpAddress> parse_bind(const Setting& setting, std::string_view text, bool numeric_only) {
  auto address = resolve_address(setting, text, family_of(setting), numeric_only);
  if (address && (address->is_multicast() || address->is_broadcast())) {
    return refuse(setting, "media cannot be received on a multicast or broadcast address");
  }
  return address;
}

// What replies show must be usable in SDP by the same family's endpoints, hence numeric.
Result<std::string> parse_shown(const Setting& setting, std::string_view text, Family family,
                                bool numeric_only) {
  const auto address = resolve_address(setting, text, family, numeric_only);
  if (!address) return tl::unexpected(address.error());
  if (address->is_any() || address->is_multicast() || address->is_broadcast()) {
    return refuse(setting, fmt::format("{} cannot be shown to a peer: expected a unicast address",
                                       quoted(text)));
  }
  return address->to_string();
}

Result<LocalAddressConfig> parse_entry(const Setting& setting, bool numeric_only) {
  LocalAddressConfig entry;
  std::string_view text = setting.value;
  if (const size_t at = text.find('@'); at != std::string_view::npos) {
    entry.label = text.substr(0, at);
    text.remove_prefix(at + 1);
    const bool clean = std::all_of(entry.label.begin(), entry.label.end(), [](unsigned char c) {
      return std::isalnum(c) != 0 || c == '_' || c == '-' || c == '.';
    });
    if (entry.label.empty() || !clean) {
      return refuse(setting,
                    fmt::format("label {}: expected letters, digits, _ - .", quoted(entry.label)));
    }
  }
  std::optional<std::string_view> shown;
  if (const size_t equals = text.find('='); equals != std::string_view::npos) {
    shown = text.substr(equals + 1);
    text = text.substr(0, equals);
  }
  const auto bind = parse_bind(setting, text, numeric_only);
  if (!bind) return tl::unexpected(bind.error());
  entry.bind = *bind;
  if (shown) {
    auto advertised = parse_shown(setting, *shown, bind->family(), numeric_only);
    if (!advertised) return tl::unexpected(advertised.error());
    entry.advertised = std::move(*advertised);
  }
  return entry;
}

struct Bridge {
  std::optional<LocalAddressConfig> internal, external;
};

Status place(std::optional<LocalAddressConfig>& side, std::string_view side_name,
             const Setting& setting, std::string_view text, bool numeric_only) {
  if (side) {
    return refuse(setting, fmt::format("the {} address of the bridge is given twice", side_name));
  }
  const auto bind = parse_bind(setting, text, numeric_only);
  if (!bind) return tl::unexpected(bind.error());
  side = LocalAddressConfig{{}, *bind, {}};
  return {};
}

// One bridging entry: "int/ext", "int/", "/ext", or, beside the other family's "/ext", "int".
Status place_bridge_entry(Bridge& bridge, const Setting& setting, bool numeric_only) {
  if (setting.value.find_first_of("@=") != std::string::npos) {
    return refuse(setting, "a bridging address takes no label and no =SHOWN (use -A INT/EXT)");
  }
  const std::string_view text = setting.value;
  const size_t slash = std::min(text.find('/'), text.size());
  const std::string_view internal = text.substr(0, slash);
  const std::string_view external = slash < text.size() ? text.substr(slash + 1) : "";
  if (internal.empty() && external.empty()) {
    return refuse(setting, "expected INTERNAL/EXTERNAL addresses");
  }
  if (!internal.empty()) {
    if (auto placed = place(bridge.internal, "internal", setting, internal, numeric_only);
        !placed) {
      return placed;
    }
  }
  if (external.empty()) return {};
  return place(bridge.external, "external", setting, external, numeric_only);
}

bool label_is_taken(const std::vector<LocalAddressConfig>& list, const std::string& label) {
  return std::any_of(list.begin(), list.end(),
                     [&](const LocalAddressConfig& entry) { return entry.label == label; });
}

Status append_entry(LocalAddresses& addresses, const Setting& setting, bool numeric_only) {
  if (has_slash(setting)) {
    return refuse(setting, "only the first address of each family may be INTERNAL/EXTERNAL");
  }
  auto entry = parse_entry(setting, numeric_only);
  if (!entry) return tl::unexpected(entry.error());
  if (!addresses.list.empty() && entry->label.empty()) {
    return refuse(setting, "every address after the first needs a label, LABEL@ADDR");
  }
  if (!entry->label.empty() && label_is_taken(addresses.list, entry->label)) {
    return refuse(setting, fmt::format("label {} is given twice", quoted(entry->label)));
  }
  addresses.list.push_back(std::move(*entry));
  return {};
}

// Of each family the first entry; a bridge may be spread over both.
std::vector<const Setting*> bridge_entries(const std::vector<Setting>& settings) {
  std::vector<const Setting*> firsts;
  for (const Family family : {Family::ipv4, Family::ipv6}) {
    const auto first = std::find_if(settings.begin(), settings.end(), [&](const Setting& setting) {
      return family_of(setting) == family;
    });
    if (first != settings.end()) firsts.push_back(&*first);
  }
  if (std::none_of(firsts.begin(), firsts.end(), [](auto* entry) { return has_slash(*entry); })) {
    return {};
  }
  // "-l INT/EXT -6 LABEL@ADDR": a complete bridge leaves the other family an ordinary address.
  const auto complete = std::find_if(firsts.begin(), firsts.end(), [](const Setting* entry) {
    const size_t slash = entry->value.find('/');
    return slash != std::string::npos && slash != 0 && slash + 1 != entry->value.size();
  });
  if (complete == firsts.end()) return firsts;
  const Setting* const whole = *complete;
  std::erase_if(firsts, [&](const Setting* entry) { return entry != whole && !has_slash(*entry); });
  return firsts;
}

Status set_advertised(LocalAddresses& addresses, const Setting& setting, bool numeric_only) {
  const std::string_view text = setting.value;
  const size_t slash = text.find('/');
  const bool is_pair = slash != std::string_view::npos;
  if (text.empty()) return refuse(setting, "the advertised address is empty");
  if (addresses.bridging != is_pair || (is_pair && (slash == 0 || slash + 1 == text.size()))) {
    return refuse(setting, addresses.bridging
                               ? "bridge mode needs both advertised addresses, INTERNAL/EXTERNAL"
                               : "without bridge mode one advertised address is expected");
  }
  const std::string_view shown[] = {text.substr(0, slash), is_pair ? text.substr(slash + 1) : ""};
  for (size_t i = 0; i < (is_pair ? 2U : 1U); ++i) {
    LocalAddressConfig& entry = addresses.list[i];
    if (!entry.advertised.empty()) {
      return refuse(setting, fmt::format("the first address already shows {}", entry.advertised));
    }
    auto address = parse_shown(setting, shown[i], entry.bind.family(), numeric_only);
    if (!address) return tl::unexpected(address.error());
    entry.advertised = std::move(*address);
  }
  return {};
}

}  // namespace

Result<LocalAddresses> parse_local_addresses(const std::vector<Setting>& settings,
                                             const std::optional<Setting>& advertised,
                                             bool numeric_only) {
  LocalAddresses addresses;
  if (settings.size() > kLocalAddressesMax) {
    return refuse(settings[kLocalAddressesMax],
                  fmt::format("at most {} media addresses may be given", kLocalAddressesMax));
  }
  const std::vector<const Setting*> bridging = bridge_entries(settings);
  if (!bridging.empty()) {
    Bridge bridge;
    for (const Setting* entry : bridging) {
      if (auto placed = place_bridge_entry(bridge, *entry, numeric_only); !placed) {
        return tl::unexpected(placed.error());
      }
    }
    if (!bridge.internal || !bridge.external) {
      return refuse(*bridging.front(), fmt::format("the {} address of the bridge is missing",
                                                   bridge.internal ? "external" : "internal"));
    }
    addresses = {{*bridge.internal, *bridge.external}, true};
  }
  for (const Setting& setting : settings) {
    if (std::find(bridging.begin(), bridging.end(), &setting) != bridging.end()) continue;
    if (auto appended = append_entry(addresses, setting, numeric_only); !appended) {
      return tl::unexpected(appended.error());
    }
  }
  if (addresses.list.empty()) addresses.list.push_back({{}, IpAddress::any(Family::ipv4), {}});
  if (advertised) {
    if (auto set = set_advertised(addresses, *advertised, numeric_only); !set) {
      return tl::unexpected(set.error());
    }
  }
  return addresses;
}

}  // namespace relay
