#include "relay/voice/url.h"

#include <fmt/core.h>

#include <algorithm>
#include <charconv>

#include "relay/base/log.h"

namespace relay {
namespace {

constexpr std::string_view kSchemes[] = {"ws", "wss", "tcp"};

uint16_t default_port(VoiceUrl::Scheme scheme) {
  switch (scheme) {
    case VoiceUrl::Scheme::ws:
      return 80;
    case VoiceUrl::Scheme::wss:
      return 443;
    case VoiceUrl::Scheme::tcp:
      break;
  }
  return 0;
}

bool is_visible(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return c > 0x20 && c < 0x7F; });
}

tl::unexpected<Error> refuse_url(std::string_view url, std::string_view expected) {
  return fail(fmt::format("{}: expected {}", quoted(url.substr(0, url.find('?'))), expected));
}

std::string_view path_of(std::string_view target) {
  return target.substr(0, target.find('?'));
}

// Also percent-encoded ones, which a server may take for the same.
bool has_dot_segment(std::string_view path) {
  std::string plain(path);
  for (const char* const dot : {"%2e", "%2E"}) {
    for (size_t at = plain.find(dot); at != std::string::npos; at = plain.find(dot)) {
      plain.replace(at, 3, ".");
    }
  }
  return (plain + '/').find("/../") != std::string::npos ||
         (plain + '/').find("/./") != std::string::npos || plain.find('\\') != std::string::npos;
}

}  // namespace

std::string VoiceUrl::authority() const {
  const std::string shown = host.find(':') == std::string::npos ? host : "[" + host + "]";
  return port == default_port(scheme) ? shown : fmt::format("{}:{}", shown, port);
}

Result<VoiceUrl> parse_voice_url(std::string_view url) {
  VoiceUrl parsed;
  const size_t separator = url.find("://");
  const auto scheme = std::find(std::begin(kSchemes), std::end(kSchemes),
                                url.substr(0, std::min(separator, url.size())));
  if (separator == std::string_view::npos || scheme == std::end(kSchemes) || !is_visible(url)) {
    return refuse_url(url, "ws://HOST…, wss://HOST… or tcp://HOST:PORT");
  }
  parsed.scheme = static_cast<VoiceUrl::Scheme>(scheme - std::begin(kSchemes));
  std::string_view rest = url.substr(separator + 3);
  const size_t end = std::min(rest.find_first_of("/?#"), rest.size());
  std::string_view authority = rest.substr(0, end);
  parsed.target = rest.substr(end, rest.find('#') - end);
  if (authority.find('@') != std::string_view::npos) {
    return refuse_url(url.substr(0, separator), "no user or password; use headers");
  }

  const bool bracketed = authority.starts_with('[');
  const size_t host_end =
      bracketed ? authority.find(']') : std::min(authority.find(':'), authority.size());
  if (host_end == std::string_view::npos) return refuse_url(url, "] behind an IPv6 address");
  parsed.host = authority.substr(bracketed ? 1 : 0, host_end - (bracketed ? 1 : 0));
  authority.remove_prefix(host_end + (bracketed ? 1 : 0));
  if (parsed.host.empty()) return refuse_url(url, "a host");
  parsed.port = default_port(parsed.scheme);
  if (!authority.empty()) {
    const char* const last = authority.data() + authority.size();
    const auto [stop, error] = std::from_chars(authority.data() + 1, last, parsed.port);
    if (authority[0] != ':' || error != std::errc{} || stop != last) parsed.port = 0;
  }
  if (parsed.port == 0) return refuse_url(url, "a port from 1 to 65535");

  const bool is_tcp = parsed.scheme == VoiceUrl::Scheme::tcp;
  if (is_tcp && !parsed.target.empty()) return refuse_url(url, "nothing behind tcp://HOST:PORT");
  if (!is_tcp && !parsed.target.starts_with('/')) parsed.target.insert(0, 1, '/');
  return parsed;
}

bool is_allowed_url(std::string_view url, const std::vector<std::string>& allowed) {
  const auto wanted = parse_voice_url(url);
  if (!wanted || has_dot_segment(path_of(wanted->target))) return false;
  return std::any_of(allowed.begin(), allowed.end(), [&](const std::string& row) {
    const auto rule = parse_voice_url(row);
    if (!rule || rule->scheme != wanted->scheme || rule->host != wanted->host ||
        rule->port != wanted->port) {
      return false;
    }
    const std::string_view path = path_of(rule->target);
    return path.ends_with('/') ? path_of(wanted->target).starts_with(path)
                               : path_of(wanted->target) == path;
  });
}

}  // namespace relay
