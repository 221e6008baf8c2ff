// Rules that need to see all files at once.
#include <algorithm>
#include <optional>
#include <string>

#include "tests/tidy/checks.h"

namespace tidy {
namespace {

// Which page describes the rows of a single source, and how a row names itself there.
struct ManualRule {
  std::string_view table;
  std::string_view macro;
  size_t argument = 0;      // of the macro, from 0
  std::string_view prefix;  // put in front of the argument
  std::string_view page;
};

const std::vector<ManualRule>& manual_rules() {
  static const std::vector<ManualRule> rules = {
      {"relay/flow/drop_reason.def", "DROP_REASON", 0, "", "man/rtpp-relay.8"},
      {"relay/flow/punt_reason.def", "PUNT_REASON", 0, "", "man/rtpp-relay.8"},
      {"relay/flow/event.def", "SESSION_EVENT", 0, "", "man/rtpp-control.7"},
      {"relay/config/options.def", "OPTION", 1, "-", "man/rtpp-relay.8"},
      {"relay/config/options.def", "OPTION", 2, "--", "man/rtpp-relay.8"},
      {"relay/config/module.def", "MODULE", 0, "", "man/rtpp-relay.8"},
      {"relay/config/toml_keys.def", "TOML_KEY", 0, "", "man/rtpp-relay.toml.5"},
      {"relay/config/toml_keys.def", "TOML_KEY", 1, "", "man/rtpp-relay.toml.5"},
      {"relay/config/voice_keys.def", "VOICE_LIMIT", 0, "", "man/rtpp-relay.toml.5"},
      {"relay/config/voice_keys.def", "VOICE_KEY", 0, "", "man/rtpp-relay.toml.5"},
      {"relay/config/voice_rule_keys.def", "VOICE_RULE", 0, "", "man/rtpp-relay.toml.5"},
      {"relay/voice/voice_event.def", "VOICE_EVENT", 1, "", "man/rtpp-voice.7"},
      {"relay/voice/voice_error.def", "VOICE_ERROR", 1, "", "man/rtpp-voice.7"},
      {"relay/voice/voice_counter.def", "VOICE_COUNTER", 0, "", "man/rtpp-voice.7"},
      {"relay/acct/counter.def", "COUNTER", 0, "", "man/rtpp-relay.8"},
      {"relay/control/control_counter.def", "COUNTER", 0, "", "man/rtpp-relay.8"},
      {"relay/media/record_counter.def", "RECORD_COUNTER", 0, "", "man/rtpp-relay.8"},
      {"relay/control/stats.def", "STATS", 0, "", "man/rtpp-control.7"},
      {"ctlproto/commands.def", "COMMAND", 0, "", "man/rtpp-control.7"},
      {"ctlproto/error_codes.def", "ERROR_CODE", 0, "E", "man/rtpp-control.7"},
  };
  return rules;
}

const SourceFile* find_file(const std::vector<SourceFile>& tree, std::string_view path) {
  const auto found = std::find_if(tree.begin(), tree.end(),
                                  [&](const SourceFile& file) { return file.path == path; });
  return found == tree.end() ? nullptr : &*found;
}

// Whether a list of files (CMakeLists.txt, an include) in `folder` or above names `path`.
bool is_listed(const std::vector<SourceFile>& tree, const std::string& path) {
  for (std::string folder = path; !folder.empty();) {
    const size_t slash = folder.rfind('/');
    folder = slash == std::string::npos ? "" : folder.substr(0, slash);
    const std::string prefix = folder.empty() ? "" : folder + "/";
    const SourceFile* list = find_file(tree, prefix + "CMakeLists.txt");
    if (list == nullptr) continue;
    const std::string name = path.substr(prefix.size());
    for (size_t at = list->text.find(name); at != std::string::npos;
         at = list->text.find(name, at + 1)) {
      const char before = at == 0 ? ' ' : list->text[at - 1];
      const size_t end = at + name.size();
      const char after = end < list->text.size() ? list->text[end] : ' ';
      if (!is_word_character(before) && before != '.' && !is_word_character(after)) return true;
    }
  }
  return false;
}

// Named from a folder beside (`../support/x.cc`), or as the `NAME` of a function that adds the
// `.cc`.
bool is_listed_otherwise(const std::vector<SourceFile>& tree, const std::string& path) {
  const size_t slash = path.rfind('/');
  if (slash == std::string::npos) return false;
  const size_t parent = path.rfind('/', slash - 1);
  const std::string beside = "../" + path.substr(parent == std::string::npos ? 0 : parent + 1);
  const std::string stem = path.substr(slash + 1, path.rfind('.') - slash - 1);
  return std::any_of(tree.begin(), tree.end(), [&](const SourceFile& list) {
    if (!list.path.ends_with("CMakeLists.txt")) return false;
    if (find_word(list.text, beside) != std::string::npos) return true;
    const bool is_neighbour = list.path == path.substr(0, slash) + "/CMakeLists.txt";
    return is_neighbour && list.text.find("${name}.cc") != std::string::npos &&
           find_word(list.text, stem) != std::string::npos;
  });
}

bool is_included(const std::vector<SourceFile>& tree, const SourceFile& file) {
  const std::string name = "\"" + file.path + "\"";
  const std::string plain = "\"" + file.path.substr(file.path.rfind('/') + 1) + "\"";
  return std::any_of(tree.begin(), tree.end(), [&](const SourceFile& other) {
    if (other.path == file.path || !(other.is_code() || other.path.ends_with(".def"))) {
      return false;
    }
    if (other.text.find("#include " + name) != std::string::npos) return true;
    // A neighbour may be included by its bare name.
    return other.path.substr(0, other.path.rfind('/')) ==
               file.path.substr(0, file.path.rfind('/')) &&
           other.text.find("#include " + plain) != std::string::npos;
  });
}

std::string_view argument_at(std::string_view arguments, size_t wanted) {
  int depth = 0;
  bool quoted = false;
  size_t start = 0;
  for (size_t i = 0; i <= arguments.size(); ++i) {
    const char c = i < arguments.size() ? arguments[i] : ',';
    if (c == '"') quoted = !quoted;
    if (quoted) continue;
    if (c == '(' || c == '{') ++depth;
    if (c == ')' || c == '}') --depth;
    if (depth < 0) return wanted == 0 ? trimmed(arguments.substr(start, i - start)) : "";
    if (c != ',' || depth > 0) continue;
    if (wanted-- == 0) return trimmed(arguments.substr(start, i - start));
    start = i + 1;
  }
  return {};
}

// Pages write a hyphen as `\-` and change fonts with `\fB`.
std::string without_escapes(std::string_view page) {
  std::string text;
  for (size_t i = 0; i < page.size(); ++i) {
    if (page[i] != '\\') {
      text += page[i];
    } else if (page.compare(i + 1, 1, "f") == 0) {
      i += 2;
      text += ' ';
    }
  }
  return text;
}

Findings check_rows(const ManualRule& rule, const SourceFile& table, std::string_view page) {
  Findings findings;
  const std::string code = without_comments_and_literals(table.text);
  for (size_t at = find_word(code, rule.macro); at != std::string::npos;
       at = find_word(code, rule.macro, at + 1)) {
    const size_t open = at + rule.macro.size();
    if (open >= code.size() || code[open] != '(') continue;
    std::string_view value =
        argument_at(std::string_view(table.text).substr(open + 1), rule.argument);
    if (value.starts_with("\"")) value = value.substr(1, value.size() - 2);
    if (value.empty()) continue;
    const std::string row = std::string(rule.prefix) + std::string(value);
    if (find_word(page, row) != std::string_view::npos) continue;
    findings.push_back({table.path, line_at(code, at),
                        "row `" + row + "` is not described in " + std::string(rule.page)});
  }
  return findings;
}

}  // namespace

Findings check_dead_files(const std::vector<SourceFile>& tree) {
  Findings findings;
  for (const SourceFile& file : tree) {
    const bool is_source = file.path.ends_with(".cc") || file.path.ends_with(".c");
    const bool is_included_kind = file.is_header() || file.path.ends_with(".def");
    if (is_source && !is_listed(tree, file.path) && !is_listed_otherwise(tree, file.path)) {
      findings.push_back({file.path, 0, "no CMakeLists.txt lists it; list it or remove it"});
    }
    if (is_included_kind && !is_included(tree, file)) {
      findings.push_back({file.path, 0, "nothing includes it; use it or remove it"});
    }
  }
  return findings;
}

Findings check_manual(const std::vector<SourceFile>& tree) {
  Findings findings;
  for (const SourceFile& file : tree) {
    if (!file.path.ends_with(".def")) continue;
    const bool has_rule = std::any_of(manual_rules().begin(), manual_rules().end(),
                                      [&](const ManualRule& r) { return r.table == file.path; });
    if (!has_rule) {
      findings.push_back({file.path, 0,
                          "no manual page is named for its rows; add it to manual_rules() in "
                          "tests/tidy/whole_tree.cc"});
    }
  }
  for (const ManualRule& rule : manual_rules()) {
    const SourceFile* table = find_file(tree, rule.table);
    const SourceFile* page = find_file(tree, rule.page);
    if (table == nullptr) continue;
    if (page == nullptr) {
      findings.push_back(
          {std::string(rule.table), 0,
           "its rows are to be described in " + std::string(rule.page) + ", which does not exist"});
      continue;
    }
    const Findings rows = check_rows(rule, *table, without_escapes(page->text));
    findings.insert(findings.end(), rows.begin(), rows.end());
  }
  return findings;
}

}  // namespace tidy
