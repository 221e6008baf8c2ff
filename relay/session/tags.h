// How the tags and call-ids of commands are compared. Pure.
//
// A tag may carry a media number, `tag;2`; a command that names just `tag` means all of them where
// the command says so (D, R, N). Sippy and OpenSIPS number the call-id instead (`cid-0`), Kamailio
// may append a branch (`cid;z9hG4bK…`).
#pragma once

#include <optional>
#include <string_view>

namespace relay {

enum class TagMatch {
  none,
  exact,
  prefix,  // `stored` is `given` with a media number
};
TagMatch match_tag(std::string_view stored, std::string_view given);

// From the last `;` on, or empty.
std::string_view media_number(std::string_view tag);

// The call-id without `-<digits>` or `;<text>`; nothing when it has neither.
std::optional<std::string_view> base_call_id(std::string_view call_id);

}  // namespace relay
