#include "ctlproto/subcommands.h"

#include "ctlproto/error_codes.h"
#include "ctlproto/media_address.h"
#include "ctlproto/modifiers.h"
#include "ctlproto/text.h"

namespace ctlproto {
namespace {

using Result = tl::expected<SubCommand, ParseError>;

tl::unexpected<ParseError> refuse_shape(std::string_view text, std::string_view expected) {
  return refuse(error::subcommand_refused,
                "sub-command " + quoted(text) + ", expected " + std::string(expected));
}

Result parse_delete(std::string_view text, const Tokens& tokens) {
  const std::string_view letters = tokens[0].substr(1);
  const bool weak = letters.size() == 1 && to_lower(letters[0]) == 'w';
  if (tokens.size() != 1 || (!letters.empty() && !weak)) return refuse_shape(text, "D or Dw");
  return SubDelete{weak};
}

Result parse_set(std::string_view text, const Tokens& tokens) {
  constexpr std::string_view kExpected = "S[r] ttl=N or S[r] tos=N with N above 0";
  if (tokens.size() != 2 || tokens[0].size() > 2) return refuse_shape(text, kExpected);
  SubSet set;
  // Any other second letter says nothing, as in rtpproxy.
  set.on_out_stream = tokens[0].size() == 2 && to_lower(tokens[0][1]) == 'r';
  if (tokens[1].starts_with("ttl=")) {
    set.name = SubSet::Name::ttl_s;
  } else if (tokens[1].starts_with("tos=")) {
    set.name = SubSet::Name::tos;
  } else {
    return refuse_shape(text, kExpected);
  }
  const auto value = parse_integer(tokens[1].substr(4));
  if (!value || *value <= 0) return refuse_shape(text, kExpected);
  set.value = *value;
  return set;
}

Result parse_lookup(std::string_view text, const Tokens& tokens) {
  if (tokens.size() != 3) return refuse_shape(text, "L[modifiers] IP PORT");
  auto modifiers = parse_media_modifiers(tokens[0].substr(1), ThirdDirection::ignored);
  if (!modifiers) return refuse_shape(text, modifiers.error().message);
  auto media = classify_media_address(tokens[1], tokens[2], modifiers->ipv6);
  if (!media) return refuse_shape(text, media.error().message);
  if (media->kind != MediaAddress::Kind::unusable) modifiers->ipv6 = media->is_ipv6;
  return SubLookup{std::move(*modifiers), std::move(*media)};
}

Result parse_fork(std::string_view text, const Tokens& tokens) {
  if (tokens.size() != 4 || tokens[0].size() != 1) {
    return refuse_shape(text, "C CALLID FROMTAG TOTAG");
  }
  return SubFork{std::string(tokens[1]), std::string(tokens[2]), std::string(tokens[3])};
}

Result parse_module(std::string_view text, const Tokens& tokens) {
  constexpr std::string_view kExpected = "M<module>:<instance> with numbers above 0";
  const std::string_view numbers = tokens[0].substr(1);
  const size_t colon = numbers.find(':');
  if (colon == std::string_view::npos) return refuse_shape(text, kExpected);
  const auto module = parse_integer(numbers.substr(0, colon));
  const auto instance = parse_integer(numbers.substr(colon + 1));
  if (!module || !instance || *module < 1 || *instance < 1) return refuse_shape(text, kExpected);
  SubModule command{*module, *instance, {}};
  const auto arguments = tokens.from(1);
  command.arguments.assign(arguments.begin(), arguments.end());
  return command;
}

Result parse_subcommand(std::string_view text, SubCommandHost host) {
  const Tokens tokens = tokenise_subcommand(text);
  const bool joins_sides = host == SubCommandHost::update_with_to_tag;
  switch (to_lower(tokens[0][0])) {
    case 'd':
      return parse_delete(text, tokens);
    case 's':
      return parse_set(text, tokens);
    case 'm':
      return parse_module(text, tokens);
    case 'l':
      if (!joins_sides) return refuse_shape(text, "&& L only behind a U with a to-tag");
      return parse_lookup(text, tokens);
    case 'c':
      if (!joins_sides) return refuse_shape(text, "&& C only behind a U with a to-tag");
      return parse_fork(text, tokens);
    default:
      return refuse_shape(text, "D, S, L, C or M");
  }
}

}  // namespace

tl::expected<std::vector<SubCommand>, ParseError> parse_subcommands(const CommandText& command,
                                                                    SubCommandHost host) {
  std::vector<SubCommand> subcommands;
  subcommands.reserve(command.subcommand_count);
  for (size_t i = 0; i < command.subcommand_count; ++i) {
    auto subcommand = parse_subcommand(command.subcommands[i], host);
    if (!subcommand) return tl::unexpected(std::move(subcommand.error()));
    subcommands.push_back(std::move(*subcommand));
  }
  return subcommands;
}

}  // namespace ctlproto
