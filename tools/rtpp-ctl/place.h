// What lies below one place of a flattened reply, `sessions.0.caller.`. What is not there is a
// dash. The values must outlive it.
#pragma once

#include <string>
#include <string_view>

#include "tools/rtpp-ctl/replies.h"

namespace relay::tools {

class Place {
 public:
  Place(const NamedValues& values, std::string path) : values_(values), path_(std::move(path)) {}

  Place below(std::string_view name) const { return {values_, path_ + std::string(name) + "."}; }
  bool has(std::string_view name) const {
    return find_value(values_, path_ + std::string(name)) != nullptr;
  }
  std::string text(std::string_view name) const {
    const std::string* value = find_value(values_, path_ + std::string(name));
    return value == nullptr ? "-" : *value;
  }
  // Everything below, with the rest of its path as its name.
  NamedValues all() const {
    NamedValues result;
    for (const NamedValue& value : values_) {
      if (!value.name.starts_with(path_)) continue;
      result.push_back({value.name.substr(path_.size()), value.value});
    }
    return result;
  }

 private:
  const NamedValues& values_;
  const std::string path_;
};

}  // namespace relay::tools
