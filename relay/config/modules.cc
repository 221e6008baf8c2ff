#include "relay/config/modules.h"

#include <algorithm>
#include <iterator>

namespace relay {
namespace {

struct ModuleRow {
  std::string_view name;
  ModuleId id;
};
constexpr ModuleRow kModules[] = {
#define MODULE(name, number, counterpart) {#name, ModuleId::name},
#include "relay/config/module.def"
#undef MODULE
};

}  // namespace

std::optional<ModuleId> module_named(std::string_view path_or_name) {
  std::string_view name = path_or_name.substr(path_or_name.rfind('/') + 1);
  if (name.ends_with(".so")) name.remove_suffix(3);
  if (name.ends_with("_debug")) name.remove_suffix(6);
  if (name.starts_with("rtpp_")) name.remove_prefix(5);
  const auto* row = std::find_if(std::begin(kModules), std::end(kModules),
                                 [&](const ModuleRow& known) { return known.name == name; });
  if (row == std::end(kModules)) return std::nullopt;
  return row->id;
}

}  // namespace relay
