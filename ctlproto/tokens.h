// One command cut into tokens and sub-commands: the E5 checks, and nothing of what words mean.
#pragma once

#include <array>
#include <span>
#include <string_view>

#include "ctlproto/parse.h"

namespace ctlproto {

class Tokens {
 public:
  size_t size() const { return count_; }
  std::string_view operator[](size_t index) const { return tokens_[index]; }
  std::span<const std::string_view> from(size_t index) const {
    return std::span(tokens_).subspan(index, count_ - index);
  }
  // False when all kTokensMax places are taken.
  bool add(std::string_view token);
  void clear() { count_ = 0; }

 private:
  std::array<std::string_view, kTokensMax> tokens_;
  size_t count_ = 0;
};

struct CommandText {
  Tokens tokens;  // of the command itself
  std::array<std::string_view, kSubCommandsMax> subcommands;
  size_t subcommand_count = 0;
};

// Views into `text`, which must outlive the result.
tl::expected<CommandText, ParseError> tokenise(std::string_view text);

// The tokens of one sub-command that `tokenise` let pass.
Tokens tokenise_subcommand(std::string_view text);

// The first index at or behind `position` that is no stray byte. Kamailio (5.6 and 6.1 measured)
// sends `UZ20\0\0\0c96,97` for the second media line: bytes of its own memory behind the digits.
size_t skip_stray_bytes(std::string_view text, size_t position);

}  // namespace ctlproto
