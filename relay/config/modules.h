// Which of rtpproxy's modules there are instances of. Nothing is loaded: their functions are built
// in, and the names that rtpproxy's options and files call them by turn those on.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

namespace relay {

enum class ModuleId : uint8_t {
#define MODULE(name, number, counterpart) name = number,
#include "relay/config/module.def"
#undef MODULE
};

// "…/rtpp_acct_csv_debug.so", "rtpp_acct_csv" and "acct_csv" name the same module; nothing: none.
std::optional<ModuleId> module_named(std::string_view path_or_name);

// Instances are numbered from 1, for each module by itself, in the order they were asked for.
class ModuleInstances {
 public:
  void add(ModuleId id) { ++counts_[static_cast<size_t>(id)]; }
  unsigned count(ModuleId id) const { return counts_[static_cast<size_t>(id)]; }
  // Whether `&& M<module>:<instance>` names one.
  bool exists(unsigned module, unsigned instance) const {
    return module < counts_.size() && instance >= 1 && instance <= counts_[module];
  }

 private:
  std::array<unsigned, 8> counts_{};  // by ModuleId
};

}  // namespace relay
