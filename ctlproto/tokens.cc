#include "ctlproto/tokens.h"

#include <string>

#include "ctlproto/error_codes.h"
#include "ctlproto/text.h"

namespace ctlproto {
namespace {

// The next token at or behind `position`, which moves behind it; empty at the end.
std::string_view next_token(std::string_view text, size_t& position) {
  while (position < text.size() && is_separator(text[position])) ++position;
  const size_t begin = position;
  while (position < text.size() && !is_separator(text[position])) ++position;
  return text.substr(begin, position - begin);
}

// NUL in a token is refused, but for the stray bytes Kamailio leaves behind `z<digits>`.
bool nuls_are_stray(std::string_view text, std::string_view first_token) {
  const char verb = to_lower(first_token[0]);
  if (verb != 'u' && verb != 'l') return false;
  const size_t first_end =
      static_cast<size_t>(first_token.data() - text.data()) + first_token.size();
  if (text.find('\0', first_end) != std::string_view::npos) return false;
  size_t i = 1;
  while (i < first_token.size()) {
    if (first_token[i] == '\0') return false;
    const bool ptime = to_lower(first_token[i]) == 'z';
    ++i;
    const size_t digits_begin = i;
    while (ptime && i < first_token.size() && is_digit(first_token[i])) ++i;
    if (i > digits_begin) i = skip_stray_bytes(first_token, i);
  }
  return true;
}

std::string_view between(std::string_view first, std::string_view last) {
  return {first.data(), static_cast<size_t>(last.data() + last.size() - first.data())};
}

tl::unexpected<ParseError> refuse_token_count(std::string_view token) {
  return refuse(error::malformed, "token " + quoted(token) + " is one too many, expected at most " +
                                      std::to_string(kTokensMax));
}

}  // namespace

bool Tokens::add(std::string_view token) {
  if (count_ == tokens_.size()) return false;
  tokens_[count_++] = token;
  return true;
}

size_t skip_stray_bytes(std::string_view text, size_t position) {
  while (position < text.size() && (text[position] < 0x20 || text[position] > 0x7E)) ++position;
  return position;
}

tl::expected<CommandText, ParseError> tokenise(std::string_view text) {
  tl::expected<CommandText, ParseError> result;
  CommandText& command = *result;
  Tokens subcommand;
  bool in_subcommand = false;
  const auto close_subcommand = [&] {
    if (in_subcommand) {
      command.subcommands[command.subcommand_count++] =
          between(subcommand[0], subcommand[subcommand.size() - 1]);
    }
  };
  size_t position = 0;
  for (std::string_view token = next_token(text, position); !token.empty();
       token = next_token(text, position)) {
    Tokens& current = in_subcommand ? subcommand : command.tokens;
    if (token != "&&") {
      if (!current.add(token)) return refuse_token_count(token);
      continue;
    }
    if (current.size() == 0) break;
    close_subcommand();
    if (command.subcommand_count == kSubCommandsMax) {
      return refuse(error::malformed,
                    "expected at most " + std::to_string(kSubCommandsMax) + " sub-commands");
    }
    in_subcommand = true;
    subcommand.clear();
  }
  if ((in_subcommand ? subcommand : command.tokens).size() == 0) {
    return refuse(error::malformed, in_subcommand
                                        ? "empty sub-command behind &&, in " + quoted(text)
                                        : "empty command, expected a verb");
  }
  close_subcommand();
  if (text.find('\0') != std::string_view::npos && !nuls_are_stray(text, command.tokens[0])) {
    return refuse(error::malformed, "NUL byte in " + quoted(text) + ", expected text");
  }
  return result;
}

Tokens tokenise_subcommand(std::string_view text) {
  Tokens tokens;
  size_t position = 0;
  std::string_view token = next_token(text, position);
  while (!token.empty() && tokens.add(token)) token = next_token(text, position);
  return tokens;
}

}  // namespace ctlproto
