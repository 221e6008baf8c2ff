// One command, in rtpproxy's order of checks: E5 (tokens), E0 (verb), E1 (count), E2 (modifiers),
// E3 (sub-commands allowed), then what the command itself asks for, then its sub-commands.
#include "ctlproto/parse.h"

#include <algorithm>
#include <array>

#include "ctlproto/commands.h"
#include "ctlproto/error_codes.h"
#include "ctlproto/media_address.h"
#include "ctlproto/modifiers.h"
#include "ctlproto/subcommands.h"
#include "ctlproto/text.h"
#include "ctlproto/tokens.h"

namespace ctlproto {

const CommandRow* find_command(std::string_view first_token) {
  if (first_token.empty()) return nullptr;
  const char letter = to_lower(first_token[0]);
  if (letter == 'v' && first_token.size() > 1 && to_lower(first_token[1]) == 'f') {
    return &kCommands[static_cast<size_t>(Verb::feature)];
  }
  for (const CommandRow& row : kCommands) {
    if (row.letters.size() == 1 && to_lower(row.letters[0]) == letter) return &row;
  }
  return nullptr;
}

namespace {

using Result = tl::expected<Request, ParseError>;

tl::unexpected<ParseError> refuse_modifier(int code, std::string_view verb, std::string_view hint) {
  return refuse(code, "modifiers of " + quoted(verb) + ", expected " + std::string(hint));
}

// Token `index` when it is there.
std::optional<std::string> optional_token(const Tokens& tokens, size_t index) {
  if (index >= tokens.size()) return std::nullopt;
  return std::string(tokens[index]);
}

// How clients spell a place to notify. None of these can start a SIP tag (RFC 3261 §25.1: a tag is
// a token, which has neither `:` nor `/`).
bool names_notify_socket(std::string_view token) {
  constexpr std::array<std::string_view, 8> kPrefixes = {
      "tcp:", "tcp6:", "unix:", "jsonrpc:", "xmlrpc:", "http:", "https:", "/"};
  for (const std::string_view prefix : kPrefixes) {
    if (token.starts_with(prefix)) return true;
  }
  return false;
}

struct UpdateTail {
  std::string_view to_tag, socket, notify_tag;
  bool notify_tag_is_escaped = true;
  bool is_loose = false;
};

// `SOCKET;TAG` in one token is Kamailio 5.8 and later; SOCKET alone Kamailio before.
void set_glued_socket(UpdateTail& tail, std::string_view token, std::string_view call_id) {
  const size_t semicolon = std::min(token.find(';'), token.size());
  tail.is_loose = true;
  tail.socket = token.substr(0, semicolon);
  tail.notify_tag = token.substr(std::min(semicolon + 1, token.size()));
  if (tail.notify_tag.empty()) {
    tail.notify_tag = call_id;
    tail.notify_tag_is_escaped = false;
  }
}

// What follows the from-tag of U. rtpproxy goes by the count alone (one token: to-tag; two: socket
// and tag; three: all). Kamailio's `TOTAG SOCKET` and `SOCKET;TAG` are told apart by the spelling.
UpdateTail read_update_tail(const Tokens& tokens) {
  UpdateTail tail;
  const std::string_view call_id = tokens[1];
  switch (tokens.size()) {
    case 6:
      if (names_notify_socket(tokens[5])) {
        set_glued_socket(tail, tokens[5], call_id);
      } else {
        tail.to_tag = tokens[5];
      }
      break;
    case 7:
      if (!names_notify_socket(tokens[5]) && names_notify_socket(tokens[6])) {
        tail.to_tag = tokens[5];
        set_glued_socket(tail, tokens[6], call_id);
      } else {
        tail.socket = tokens[5];
        tail.notify_tag = tokens[6];
      }
      break;
    case 8:
      tail.to_tag = tokens[5];
      tail.socket = tokens[6];
      tail.notify_tag = tokens[7];
      break;
    default:
      break;
  }
  return tail;
}

Result parse_update(const CommandText& command) {
  const Tokens& tokens = command.tokens;
  Update update;
  const UpdateTail tail = read_update_tail(tokens);
  if (!tail.to_tag.empty()) update.to_tag = tail.to_tag;
  if (!tail.socket.empty()) {
    auto tag =
        tail.notify_tag_is_escaped ? url_decode(tail.notify_tag) : std::string(tail.notify_tag);
    if (!tag) {
      return refuse(error::notify_tag_escape,
                    "notify tag " + quoted(tail.notify_tag) + ", expected two hex digits behind %");
    }
    update.notification = Notification{std::string(tail.socket), std::move(*tag), tail.is_loose};
  }
  auto modifiers = parse_media_modifiers(tokens[0].substr(1), ThirdDirection::refused);
  if (!modifiers) return tl::unexpected(std::move(modifiers.error()));
  auto media = classify_media_address(tokens[2], tokens[3], modifiers->ipv6);
  if (!media) return tl::unexpected(std::move(media.error()));
  if (media->kind != MediaAddress::Kind::unusable) modifiers->ipv6 = media->is_ipv6;
  auto subcommands = parse_subcommands(command, update.to_tag ? SubCommandHost::update_with_to_tag
                                                              : SubCommandHost::update_or_lookup);
  if (!subcommands) return tl::unexpected(std::move(subcommands.error()));
  update.modifiers = std::move(*modifiers);
  update.call_id = tokens[1];
  update.media = std::move(*media);
  update.from_tag = tokens[4];
  update.subcommands = std::move(*subcommands);
  return update;
}

Result parse_lookup(const CommandText& command) {
  const Tokens& tokens = command.tokens;
  auto modifiers = parse_media_modifiers(tokens[0].substr(1), ThirdDirection::ignored);
  if (!modifiers) return tl::unexpected(std::move(modifiers.error()));
  auto media = classify_media_address(tokens[2], tokens[3], modifiers->ipv6);
  if (!media) return tl::unexpected(std::move(media.error()));
  if (media->kind != MediaAddress::Kind::unusable) modifiers->ipv6 = media->is_ipv6;
  auto subcommands = parse_subcommands(command, SubCommandHost::update_or_lookup);
  if (!subcommands) return tl::unexpected(std::move(subcommands.error()));
  return Lookup{std::move(*modifiers),  std::string(tokens[1]),    std::move(*media),
                std::string(tokens[4]), optional_token(tokens, 5), std::move(*subcommands)};
}

// OpenSIPS rtp_relay writes an empty from-tag as two blanks: `D cid  toB`.
bool from_tag_is_empty(const Tokens& tokens) {
  if (tokens.size() != 3) return false;
  const std::string_view gap(
      tokens[1].data() + tokens[1].size(),
      static_cast<size_t>(tokens[2].data() - tokens[1].data()) - tokens[1].size());
  return gap == "  ";
}

Result parse_delete(const CommandText& command) {
  const Tokens& tokens = command.tokens;
  Delete request;
  for (const char letter : tokens[0].substr(1)) {
    if (to_lower(letter) != 'w') {
      return refuse_modifier(error::unknown_delete_modifier, tokens[0], "D or Dw");
    }
    request.weak = true;
  }
  request.call_id = tokens[1];
  if (from_tag_is_empty(tokens)) {
    request.to_tag = tokens[2];
  } else {
    request.from_tag = tokens[2];
    request.to_tag = optional_token(tokens, 3);
  }
  return request;
}

Result parse_play(const CommandText& command) {
  const Tokens& tokens = command.tokens;
  Play request;
  const std::string_view count = tokens[0].substr(1);
  if (!count.empty()) {
    const auto number = parse_integer(count);
    if (!number) {
      return refuse(error::play_count, "play count " + quoted(count) + ", expected a number");
    }
    request.count = *number;
  }
  request.call_id = tokens[1];
  request.name = tokens[2];
  if (tokens[3] != "session") request.codecs = tokens[3];
  request.from_tag = tokens[4];
  request.to_tag = optional_token(tokens, 5);
  return request;
}

Result parse_stop_play(const CommandText& command) {
  const Tokens& tokens = command.tokens;
  return StopPlay{std::string(tokens[1]), std::string(tokens[2]), optional_token(tokens, 3)};
}

Result parse_record(const CommandText& command) {
  const Tokens& tokens = command.tokens;
  Record request;
  for (const char letter : tokens[0].substr(1)) {
    if (to_lower(letter) == 'p') {
      return refuse_modifier(error::modifier_combination, tokens[0], "R or Rs; p belongs to C");
    }
    if (to_lower(letter) != 's') {
      return refuse_modifier(error::unknown_record_modifier, tokens[0], "R or Rs");
    }
    request.single_file = true;
  }
  request.call_id = tokens[1];
  request.from_tag = tokens[2];
  request.to_tag = optional_token(tokens, 3);
  return request;
}

Result parse_copy(const CommandText& command) {
  const Tokens& tokens = command.tokens;
  Copy request;
  for (const char letter : tokens[0].substr(1)) {
    if (to_lower(letter) == 's') {
      request.single_file = true;
    } else if (to_lower(letter) == 'p') {
      request.report_port = true;
    } else {
      return refuse_modifier(error::unknown_record_modifier, tokens[0], "C with s or p");
    }
  }
  request.call_id = tokens[1];
  request.target = tokens[2];
  request.from_tag = tokens[3];
  request.to_tag = optional_token(tokens, 4);
  return request;
}

Result parse_stop_record(const CommandText& command) {
  const Tokens& tokens = command.tokens;
  StopRecord request;
  const std::string_view letters = tokens[0].substr(1);
  if (!letters.empty()) {
    if (to_lower(letters[0]) != 'a') {
      return refuse_modifier(error::unknown_record_modifier, tokens[0], "N or Na");
    }
    if (letters.size() > 1) {
      return refuse_modifier(error::modifier_combination, tokens[0], "nothing behind Na");
    }
    request.both_directions = true;
  }
  request.call_id = tokens[1];
  request.from_tag = tokens[2];
  request.to_tag = optional_token(tokens, 3);
  return request;
}

Result parse_query(const CommandText& command) {
  const Tokens& tokens = command.tokens;
  Query request;
  for (const char letter : tokens[0].substr(1)) {
    if (to_lower(letter) != 'v') {
      return refuse_modifier(error::unknown_query_modifier, tokens[0], "Q or Qv");
    }
    request.verbose = true;
  }
  auto subcommands = parse_subcommands(command, SubCommandHost::query);
  if (!subcommands) return tl::unexpected(std::move(subcommands.error()));
  request.call_id = tokens[1];
  request.from_tag = tokens[2];
  request.to_tag = optional_token(tokens, 3);
  if (tokens.size() > 4) {
    const auto fields = tokens.from(4);
    request.fields.assign(fields.begin(), fields.end());
  }
  request.subcommands = std::move(*subcommands);
  return request;
}

Result parse_info(const CommandText& command) {
  Info request;
  for (const char letter : command.tokens[0].substr(1)) {
    if (to_lower(letter) == 'b') {
      request.brief = true;
    } else if (to_lower(letter) == 'l') {
      request.load = true;
    } else {
      return refuse_modifier(error::unknown_info_modifier, command.tokens[0], "I with b or l");
    }
  }
  return request;
}

Result parse_stats(const CommandText& command) {
  const Tokens& tokens = command.tokens;
  Stats request;
  for (const char letter : tokens[0].substr(1)) {
    if (to_lower(letter) != 'v') {
      return refuse_modifier(error::unknown_stats_modifier, tokens[0], "G or Gv");
    }
    request.verbose = true;
  }
  const auto names = tokens.from(1);
  request.names.assign(names.begin(), names.end());
  return request;
}

Result parse_json(const CommandText& command) {
  struct Word {
    std::string_view text;
    Json::What what;
    size_t tokens_min, tokens_max;
  };
  constexpr std::array kWords{
      Word{"stats", Json::What::stats, 2, 2},     Word{"sessions", Json::What::sessions, 2, 3},
      Word{"session", Json::What::session, 3, 3}, Word{"voices", Json::What::voices, 2, 2},
      Word{"events", Json::What::events, 2, 3},   Word{"voicetest", Json::What::voicetest, 3, 3},
  };
  const Tokens& tokens = command.tokens;
  const auto* word = std::find_if(kWords.begin(), kWords.end(),
                                  [&](const Word& known) { return known.text == tokens[1]; });
  if (word == kWords.end()) {
    // rtpproxy knows no J at all and answers E0; a word we do not know gets the same.
    return refuse(error::unknown_command,
                  "J " + quoted(tokens[1]) +
                      ", expected stats, sessions, session, voices, events or voicetest");
  }
  if (tokens.size() < word->tokens_min || tokens.size() > word->tokens_max) {
    return refuse(error::wrong_token_count,
                  std::to_string(tokens.size()) + " tokens, expected " +
                      std::string(kCommands[static_cast<size_t>(Verb::json)].hint));
  }
  Json request;
  request.what = word->what;
  if (tokens.size() == 3) request.argument = tokens[2];
  return request;
}

Result parse_command(Verb verb, const CommandText& command) {
  switch (verb) {
    case Verb::update:
      return parse_update(command);
    case Verb::lookup:
      return parse_lookup(command);
    case Verb::delete_session:
      return parse_delete(command);
    case Verb::play:
      return parse_play(command);
    case Verb::stop_play:
      return parse_stop_play(command);
    case Verb::record:
      return parse_record(command);
    case Verb::copy:
      return parse_copy(command);
    case Verb::stop_record:
      return parse_stop_record(command);
    case Verb::query:
      return parse_query(command);
    case Verb::version:
      return Version{};
    case Verb::feature:
      return Feature{std::string(command.tokens[1])};
    case Verb::info:
      return parse_info(command);
    case Verb::stats:
      return parse_stats(command);
    case Verb::delete_all:
      return DeleteAll{};
    case Verb::json:
      return parse_json(command);
  }
  return refuse(error::unknown_command, "a verb without a parser");
}

}  // namespace

Result parse_request(std::string_view text) {
  const auto command = tokenise(text);
  if (!command) return tl::unexpected(command.error());
  const Tokens& tokens = command->tokens;
  const CommandRow* row = find_command(tokens[0]);
  if (row == nullptr) {
    return refuse(error::unknown_command, "command " + quoted(tokens[0]) + " is not known");
  }
  if (tokens.size() < row->tokens_min || tokens.size() > row->tokens_max) {
    return refuse(error::wrong_token_count, std::to_string(tokens.size()) + " tokens in " +
                                                quoted(text) + ", expected " +
                                                std::string(row->hint));
  }
  if (!row->takes_modifiers && tokens[0].size() > row->letters.size()) {
    return refuse_modifier(error::modifiers_not_allowed, tokens[0], row->hint);
  }
  if (!row->takes_subcommands && command->subcommand_count > 0) {
    return refuse(error::subcommand_refused, "sub-command " + quoted(command->subcommands[0]) +
                                                 ", expected none behind " +
                                                 std::string(row->letters));
  }
  return parse_command(row->verb, *command);
}

CookedCommand split_cookie(std::string_view datagram) {
  CookedCommand result;
  const auto is_token_byte = [](char c) { return !is_separator(c); };
  size_t begin = 0;
  while (begin < datagram.size() && is_separator(datagram[begin])) ++begin;
  size_t end = datagram.size();
  while (end > begin && is_separator(datagram[end - 1])) --end;
  const std::string_view trimmed = datagram.substr(begin, end - begin);
  size_t cookie_end = 0;
  while (cookie_end < trimmed.size() && is_token_byte(trimmed[cookie_end])) ++cookie_end;
  result.cookie = trimmed.substr(0, cookie_end);
  // A cookie is a token: with a NUL in it the whole datagram is malformed.
  if (result.cookie.find('\0') != std::string_view::npos) return result;
  size_t command_begin = cookie_end;
  while (command_begin < trimmed.size() && is_separator(trimmed[command_begin])) ++command_begin;
  result.command = trimmed.substr(command_begin);
  return result;
}

}  // namespace ctlproto
