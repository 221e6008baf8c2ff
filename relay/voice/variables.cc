#include "relay/voice/variables.h"

#include <fmt/core.h>

#include <array>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <nlohmann/json.hpp>

#include "relay/base/log.h"

namespace relay {
namespace {

using nlohmann::json;

constexpr std::array<std::string_view, 4> kNames{"call_id", "caller", "callee", "session_id"};
constexpr std::string_view kCallVariable = "var.";

// Calls `replace(name)` for each ${name}; what it returns nothing for stays as it is.
template <typename Replace>
std::string with_replaced(std::string_view text, Replace replace) {
  std::string result;
  while (!text.empty()) {
    const size_t open = text.find("${");
    const size_t close = open == std::string_view::npos ? open : text.find('}', open);
    if (close == std::string_view::npos) break;
    result += text.substr(0, open);
    result += replace(text.substr(open + 2, close - open - 2));
    text.remove_prefix(close + 1);
  }
  return result += text;
}

bool is_unreserved(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
         c == '.' || c == '_' || c == '~';
}

Result<std::string> read_secret(std::string_view name) {
  const std::string what(name.substr(name.find(':') + 1));
  if (name.starts_with("env:")) {
    const char* value = std::getenv(what.c_str());
    if (value == nullptr || *value == '\0') {
      return fail(fmt::format("${{{}}}: the environment has no such variable", name));
    }
    return std::string(value);
  }
  std::ifstream file(what);
  std::string line;
  if (!std::getline(file, line)) {
    return fail_errno(fmt::format("${{{}}}: cannot read the first line of the file", name));
  }
  if (line.ends_with('\r')) line.pop_back();
  return line;
}

bool is_secret(std::string_view name) {
  return name.starts_with("env:") || name.starts_with("file:");
}

}  // namespace

std::string_view variable(const VoiceCall& call, std::string_view name) {
  if (name == "call_id") return call.call_id;
  if (name == "caller") return call.caller;
  if (name == "callee") return call.callee;
  if (name == "session_id") return call.session_id;
  if (name.starts_with(kCallVariable)) {
    name.remove_prefix(kCallVariable.size());
    for (const auto& [known, value] : call.variables) {
      if (known == name) return value;
    }
  }
  return {};
}

Result<void> check_variables(std::string_view text) {
  for (size_t open = text.find("${"); open != std::string_view::npos; open = text.find("${")) {
    text.remove_prefix(open);
    const size_t close = text.find('}');
    if (close == std::string_view::npos) {
      return fail(fmt::format("{}: expected }} to close the variable", quoted(text, 40)));
    }
    const std::string_view name = text.substr(2, close - 2);
    const bool known = std::find(kNames.begin(), kNames.end(), name) != kNames.end() ||
                       (name.starts_with(kCallVariable) && name.size() > kCallVariable.size()) ||
                       is_secret(name);
    if (!known) {
      return fail(fmt::format(
          "{}: expected call_id, caller, callee, session_id, var.NAME, env:NAME or file:PATH",
          quoted(name)));
    }
    text.remove_prefix(close + 1);
  }
  return {};
}

std::string substitute(std::string_view text, const VoiceCall& call) {
  return with_replaced(text, [&](std::string_view name) { return variable(call, name); });
}

std::string substitute_in_header(std::string_view text, const VoiceCall& call) {
  std::string value = substitute(text, call);
  for (char& c : value) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F) c = '_';
  }
  return value;
}

std::string substitute_in_url(std::string_view text, const VoiceCall& call) {
  return with_replaced(text, [&](std::string_view name) {
    std::string encoded;
    for (const char c : variable(call, name)) {
      if (is_unreserved(c)) {
        encoded += c;
      } else {
        encoded += fmt::format("%{:02X}", static_cast<unsigned char>(c));
      }
    }
    return encoded;
  });
}

void substitute_in_json(json& document, const VoiceCall& call) {
  if (document.is_string()) {
    auto& text = document.get_ref<std::string&>();
    text = substitute(text, call);
  } else if (document.is_structured()) {
    for (json& part : document) substitute_in_json(part, call);
  }
}

Result<std::string> read_secrets(std::string_view text) {
  Result<void> status;
  std::string result = with_replaced(text, [&](std::string_view name) {
    if (!is_secret(name)) return fmt::format("${{{}}}", name);
    auto secret = read_secret(name);
    if (!secret && status) status = tl::unexpected(secret.error());
    return secret.value_or("");
  });
  if (!status) return tl::unexpected(status.error());
  return result;
}

}  // namespace relay
