// Bencode, as far as rtpengine's ng protocol needs it: dictionaries of strings, integers and lists
// of strings. Pure.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace relay::tools {

// Builds one dictionary; keys in the order given, which ng does not mind.
class BencodeDictionary {
 public:
  BencodeDictionary& add(std::string_view key, std::string_view value);
  BencodeDictionary& add(std::string_view key, int64_t value);
  BencodeDictionary& add_list(std::string_view key, const std::vector<std::string_view>& values);
  std::string to_string() const { return "d" + text_ + "e"; }

 private:
  std::string text_;
};

// The strings of a dictionary's top level; integers as their digits, lists and dictionaries left
// out. Nothing for what is no complete dictionary.
std::optional<std::map<std::string, std::string>> parse_bencode_strings(std::string_view text);

}  // namespace relay::tools
