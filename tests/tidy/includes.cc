// Includes go one way, and third-party libraries stay in their corner.
#include <algorithm>
#include <array>
#include <initializer_list>
#include <optional>
#include <string>

#include "tests/tidy/checks.h"

namespace tidy {
namespace {

struct Layer {
  std::string_view folder;
  std::vector<std::string_view> may_include;  // other folders; a layer always sees itself
};

// The longest folder that a path starts with decides.
const std::vector<Layer>& layers() {
  static const std::vector<Layer> table = {
      {"ctlproto/", {}},
      {"relay/base/", {}},
      {"relay/rtp/", {"relay/base/"}},
      {"relay/config/", {"relay/base/"}},
      {"relay/flow/", {"relay/rtp/", "relay/base/"}},
      {"relay/session/", {"relay/flow/", "relay/base/"}},
      {"relay/dataplane/", {"relay/flow/", "relay/rtp/", "relay/media/", "relay/base/"}},
      {"relay/fastpath/", {"relay/flow/", "relay/rtp/", "relay/base/"}},
      {"relay/media/", {"relay/flow/", "relay/rtp/", "relay/base/"}},
      {"relay/voice/",
       {"relay/media/", "relay/flow/", "relay/rtp/", "relay/config/", "relay/base/"}},
      {"relay/state/", {"relay/session/", "relay/flow/", "relay/base/"}},
      {"relay/acct/", {"relay/session/", "relay/flow/", "relay/rtp/", "relay/base/"}},
      {"relay/control/",
       {"relay/acct/", "relay/session/", "relay/voice/", "relay/media/", "relay/flow/",
        "relay/rtp/", "relay/config/", "relay/base/", "ctlproto/"}},
      {"relay/", {"relay/", "ctlproto/"}},
      {"tools/", {"ctlproto/", "relay/rtp/", "relay/base/", "relay/media/"}},
      {"bench/", {"ctlproto/", "relay/", "tests/support/"}},
      {"tests/", {"ctlproto/", "relay/", "tools/"}},
  };
  return table;
}

const Layer* layer_of(std::string_view path) {
  const Layer* found = nullptr;
  for (const Layer& layer : layers()) {
    if (path.starts_with(layer.folder) &&
        (found == nullptr || layer.folder.size() > found->folder.size())) {
      found = &layer;
    }
  }
  return found;
}

struct Corner {
  std::string_view header;               // prefix of what stands between < and >
  std::vector<std::string_view> places;  // prefixes of paths
  bool in_sources_only = false;
};

const std::vector<Corner>& corners() {
  static const std::vector<Corner> table = {
      {"event2/", {"relay/control/"}},
      {"event.h", {}},
      {"uv.h", {"tools/common/", "relay/voice/"}},
      {"wslay/", {"relay/voice/websocket.cc"}},
      {"openssl/", {"relay/voice/", "tools/rtpp-extractaudio/"}},
      {"bpf/", {"relay/fastpath/"}},
      {"spdlog/", {"relay/base/log.cc"}},
      {"toml++/", {"relay/config/"}},
      {"CLI/", {"relay/config/", "tools/"}, true},
      {"nlohmann/json_fwd.hpp", {""}},
      {"nlohmann/", {""}, true},
      {"jemalloc/", {"relay/"}, true},
      {"spandsp/", {"relay/media/"}},
      {"opus/", {"relay/media/"}, true},
      {"bcg729/", {"relay/media/"}, true},
      {"speex/", {"relay/media/"}, true},
      {"sndfile.h", {"relay/media/", "tools/", "tests/unit/"}, true},
      {"pcap/", {"tools/rtpp-extractaudio/"}, true},
      {"srtp2/", {"tools/rtpp-extractaudio/", "tests/unit/"}, true},
      {"fmt/core.h", {""}},
      {"fmt/", {""}, true},
      {"tl/expected.hpp", {""}},
      {"doctest/", {"tests/"}},
      {"benchmark/", {"bench/"}, true},
  };
  return table;
}

// What libc and the kernel bring; C++ headers have neither a slash nor a `.h`.
bool is_system_header(std::string_view name) {
  constexpr std::array folders{"sys/", "net/", "netinet/", "arpa/", "linux/", "asm/"};
  constexpr std::array files{
      "dirent.h", "errno.h",  "fcntl.h",   "fnmatch.h", "getopt.h", "grp.h",     "ifaddrs.h",
      "netdb.h",  "poll.h",   "pthread.h", "pwd.h",     "sched.h",  "signal.h",  "stddef.h",
      "stdint.h", "stdio.h",  "stdlib.h",  "string.h",  "syslog.h", "termios.h", "time.h",
      "unistd.h", "endian.h", "limits.h",  "malloc.h",  "spawn.h"};
  if (name.find('/') == std::string_view::npos && !name.ends_with(".h")) {
    return !name.ends_with(".hpp");
  }
  return std::any_of(folders.begin(), folders.end(),
                     [&](std::string_view folder) { return name.starts_with(folder); }) ||
         std::find(files.begin(), files.end(), name) != files.end();
}

struct Include {
  std::string_view name;
  bool angled = false;
  size_t line = 0;
};

std::vector<Include> includes_of(const SourceFile& file) {
  std::vector<Include> includes;
  const std::string code = without_comments_and_literals(file.text);
  const auto code_lines = lines_of(code);
  const auto lines = lines_of(file.text);
  for (size_t i = 0; i < lines.size(); ++i) {
    if (!trimmed(code_lines[i]).starts_with("#")) continue;
    const size_t keyword = find_word(code_lines[i], "include");
    const size_t open = lines[i].find_first_of("<\"", keyword);
    if (keyword == std::string_view::npos || open == std::string_view::npos) continue;
    const bool angled = lines[i][open] == '<';
    const size_t close = lines[i].find(angled ? '>' : '"', open + 1);
    if (close == std::string_view::npos) continue;
    includes.push_back({lines[i].substr(open + 1, close - open - 1), angled, i + 1});
  }
  return includes;
}

std::string list(const std::vector<std::string_view>& names) {
  std::string text;
  for (const std::string_view name : names) {
    text += (text.empty() ? "" : ", ") + std::string(name.empty() ? "anywhere" : name);
  }
  return text.empty() ? "nothing" : text;
}

bool starts_with_any(std::string_view text, const std::vector<std::string_view>& prefixes) {
  return std::any_of(prefixes.begin(), prefixes.end(),
                     [&](std::string_view prefix) { return text.starts_with(prefix); });
}

std::string_view name_without_extension(std::string_view path) {
  return path.substr(0, path.rfind('.'));
}

}  // namespace

Findings check_layers(const SourceFile& file) {
  Findings findings;
  const Layer* from = layer_of(file.path);
  if (!file.is_code()) return findings;
  for (const Include& include : includes_of(file)) {
    if (include.angled) continue;
    if (include.name == "relay/daemon.h" && !file.path.starts_with("relay/daemon") &&
        file.path != "relay/main.cc") {
      findings.push_back({file.path, include.line,
                          "includes relay/daemon.h; only relay/main.cc may see the composition"});
      continue;
    }
    const Layer* to = layer_of(include.name);
    if (from == nullptr || to == nullptr || from == to) continue;
    if (starts_with_any(include.name, from->may_include)) continue;
    findings.push_back({file.path, include.line,
                        "includes \"" + std::string(include.name) + "\"; " +
                            std::string(from->folder) + " may include only itself and " +
                            list(from->may_include)});
  }
  return findings;
}

Findings check_third_party(const SourceFile& file) {
  Findings findings;
  if (!file.is_code()) return findings;
  for (const Include& include : includes_of(file)) {
    if (!include.angled || is_system_header(include.name)) continue;
    const auto corner = std::find_if(corners().begin(), corners().end(), [&](const Corner& c) {
      return include.name.starts_with(c.header);
    });
    const std::string name = "<" + std::string(include.name) + ">";
    if (corner == corners().end()) {
      findings.push_back(
          {file.path, include.line, name + " has no corner; name it in tests/tidy/includes.cc"});
    } else if (!starts_with_any(file.path, corner->places)) {
      findings.push_back(
          {file.path, include.line, name + " may be included only in " + list(corner->places)});
    } else if (corner->in_sources_only && file.is_header()) {
      findings.push_back(
          {file.path, include.line, name + " may be included only in sources, never in a header"});
    }
  }
  return findings;
}

Findings check_own_header_first(const SourceFile& file, const std::vector<SourceFile>& tree) {
  if (!file.path.ends_with(".cc")) return {};
  const std::string header = std::string(name_without_extension(file.path)) + ".h";
  const bool exists = std::any_of(tree.begin(), tree.end(),
                                  [&](const SourceFile& other) { return other.path == header; });
  if (!exists) return {};
  const auto includes = includes_of(file);
  if (!includes.empty() && includes.front().name == header) return {};
  return {{file.path, includes.empty() ? 0 : includes.front().line,
           "the first include must be \"" + header +
               "\", so that the header is proven to stand "
               "alone"}};
}

}  // namespace tidy
