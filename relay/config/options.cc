#include "relay/config/options.h"

#include <fmt/core.h>
#include <getopt.h>
#include <unistd.h>

#include <array>
#include <filesystem>

#include "relay/base/log.h"
#include "relay/config/describe.h"
#include "relay/config/toml_file.h"

namespace relay {
namespace {

struct OptionRow {
  OptionId id;
  std::string_view letter, name, argument, by_default, help;

  bool takes_argument() const { return !argument.empty(); }
  bool argument_is_optional() const { return argument.starts_with("[="); }
};

constexpr OptionRow kOptions[] = {
#define OPTION(id, letter, name, argument, by_default, help) \
  {OptionId::id, letter, name, argument, by_default, help},
#include "relay/config/options.def"
#undef OPTION
};
constexpr size_t kOptionCount = std::size(kOptions);
// getopt_long returns a letter, or this plus the row of a long option.
constexpr int kLongOptionBase = 256;

std::string spelling(const OptionRow& row) {
  return !row.letter.empty() ? fmt::format("-{}", row.letter) : fmt::format("--{}", row.name);
}

// getopt(3) and not a parser of our own: rtpproxy uses it, so bundled letters, abbreviated long
// names and options behind arguments mean the same here.
struct GetoptTables {
  std::string letters = ":";  // leading colon: tell a missing argument from an unknown option
  std::array<option, kOptionCount + 1> names{};

  GetoptTables() {
    size_t used = 0;
    for (size_t i = 0; i < kOptionCount; ++i) {
      const OptionRow& row = kOptions[i];
      if (!row.letter.empty()) {
        letters += row.letter;
        if (row.takes_argument()) letters += ':';
      }
      if (row.name.empty()) continue;
      const int argument = !row.takes_argument()        ? no_argument
                           : row.argument_is_optional() ? optional_argument
                                                        : required_argument;
      // The names are string literals, so data() ends in a zero.
      names[used++] = {row.name.data(), argument, nullptr, kLongOptionBase + static_cast<int>(i)};
    }
  }
};

const OptionRow* find_row(int code) {
  if (code >= kLongOptionBase && code < kLongOptionBase + static_cast<int>(kOptionCount)) {
    return &kOptions[code - kLongOptionBase];
  }
  for (const OptionRow& row : kOptions) {
    if (row.letter.size() == 1 && row.letter[0] == code) return &row;
  }
  return nullptr;
}

tl::unexpected<Error> unknown_option(const char* word) {
  // optopt is 0 for a long name getopt does not know, and names the row of a flag given a value.
  if (const OptionRow* row = find_row(optopt)) {
    return fail(fmt::format("{}: {}: this option takes no value", spelling(*row), quoted(word)));
  }
  if (optopt != 0) {
    const char letter = static_cast<char>(optopt);
    return fail(fmt::format("unknown option {}: --help lists the options",
                            relay::quoted(std::string("-") + letter)));
  }
  std::vector<std::string_view> names;
  for (const OptionRow& row : kOptions) {
    if (!row.name.empty()) names.push_back(row.name);
  }
  std::string_view given(word);
  given.remove_prefix(std::min<size_t>(2, given.size()));
  const std::string_view nearest = nearest_name(given.substr(0, given.find('=')), names);
  return fail(fmt::format(
      "unknown or ambiguous option {}: {}", quoted(word),
      nearest.empty() ? "--help lists the options" : fmt::format("did you mean --{}?", nearest)));
}

Setting setting_from(const OptionRow& row, const char* argument) {
  Setting setting{row.id, argument != nullptr ? argument : "", spelling(row)};
  if (!row.takes_argument()) setting.value = "yes";
  // rtpproxy takes any text here and does nothing with it; such a line has to start here too.
  const bool is_text = !setting.value.empty() && (setting.value[0] < '0' || setting.value[0] > '9');
  if (row.id == OptionId::overload_protection && is_text) setting.value.clear();
  return setting;
}

struct Gathered {
  std::vector<Setting> settings;
  std::string config_file;
  bool check = false;
  std::optional<PrintAndExit> print;
};

std::optional<PrintAndExit> print_request(OptionId option) {
  using What = PrintAndExit::What;
  switch (option) {
    case OptionId::print_version:
      return PrintAndExit{What::text, version_text()};
    case OptionId::print_protocols:
      return PrintAndExit{What::protocol_versions, {}};
    // The clock of the log's and the sessions' times, see relay/base/clock.h.
    case OptionId::print_clock:
      return PrintAndExit{What::text, "CLOCK_MONOTONIC\n"};
    case OptionId::help:
      return PrintAndExit{What::text, help_text()};
    default:
      return std::nullopt;
  }
}

Result<Gathered> gather(int argc, const char* const* argv) {
  const GetoptTables tables;
  // getopt reorders the vector, so it gets its own.
  std::vector<char*> words;
  for (int i = 0; i < argc; ++i) words.push_back(const_cast<char*>(argv[i]));
  words.push_back(nullptr);
  Gathered gathered;
  optind = 0;  // glibc: start afresh, also the hidden state
  opterr = 0;
  for (;;) {
    const int code =
        ::getopt_long(argc, words.data(), tables.letters.c_str(), tables.names.data(), nullptr);
    if (code == -1) break;
    const char* const word = optind > 0 ? words[static_cast<size_t>(optind - 1)] : "";
    if (code == '?') return unknown_option(word);
    if (code == ':') {
      const OptionRow* row = find_row(optopt);
      return fail(fmt::format("{}: the argument is missing, expected {}",
                              row != nullptr ? spelling(*row) : word,
                              row != nullptr ? row->argument : "one"));
    }
    const OptionRow& row = *find_row(code);
    if ((gathered.print = print_request(row.id))) return gathered;
    if (row.id == OptionId::check) {
      gathered.check = true;
      continue;
    }
    gathered.settings.push_back(setting_from(row, optarg));
    if (row.id == OptionId::config_file) gathered.config_file = optarg;
  }
  if (optind < argc) {
    return fail(fmt::format("unexpected argument {}: only options are expected",
                            quoted(words[static_cast<size_t>(optind)])));
  }
  return gathered;
}

bool called_as_rtpproxy(int argc, const char* const* argv) {
  if (argc < 1 || argv[0] == nullptr) return false;
  const auto name = std::filesystem::path(argv[0]).filename();
  return name == "rtpproxy" || name == "rtpproxy_debug";
}

}  // namespace

std::string version_text() {
  return RELAY_VERSION "\n";
}

std::string help_text() {
  std::string text =
      "usage: rtpp-relay [OPTION]...\n"
      "Relays the media of SIP calls; a SIP proxy commands it over the rtpproxy control "
      "protocol.\n\n";
  for (const OptionRow& row : kOptions) {
    std::string left =
        fmt::format("  {}{}{}", spelling(row), row.argument_is_optional() ? "" : " ", row.argument);
    left.resize(std::max<size_t>(left.size(), 28), ' ');
    text += fmt::format("{}  {}", left, row.help);
    if (!row.by_default.empty()) text += fmt::format(" [{}]", row.by_default);
    text += '\n';
  }
  text += "\nThe manual pages rtpp-relay(8) and rtpp-relay.toml(5) say more.\n";
  return text;
}

Result<CommandLine> parse_command_line(int argc, const char* const* argv) {
  return parse_command_line(argc, argv, ::geteuid() == 0);
}

Result<CommandLine> parse_command_line(int argc, const char* const* argv, bool superuser) {
  auto gathered = gather(argc, argv);
  if (!gathered) return tl::unexpected(gathered.error());
  if (gathered->print) return CommandLine(std::move(*gathered->print));
  std::vector<Setting> from_file;
  if (!gathered->config_file.empty()) {
    auto read = read_config_file(gathered->config_file);
    if (!read) return tl::unexpected(read.error());
    from_file = std::move(*read);
  }
  const ProcessFacts process{called_as_rtpproxy(argc, argv), superuser};
  auto config = build_config(merge_settings(std::move(from_file), gathered->settings), process);
  if (!config) return tl::unexpected(config.error());
  config->startup.command_line = std::move(gathered->settings);
  if (gathered->check) {
    return CommandLine(
        PrintAndExit{PrintAndExit::What::text, describe(*config), config->runtime.voice});
  }
  return CommandLine(std::move(*config));
}

}  // namespace relay
