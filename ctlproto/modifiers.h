// The letters behind U, L and `&& L`.
#pragma once

#include <string_view>

#include "ctlproto/parse.h"

namespace ctlproto {

// What a third e or i means. U refuses it (E11, E12) as rtpproxy does; on an L the sides are fixed
// already and clients repeat letters freely, so it is ignored.
enum class ThirdDirection : uint8_t { refused, ignored };

tl::expected<MediaModifiers, ParseError> parse_media_modifiers(std::string_view letters,
                                                               ThirdDirection third_direction);

}  // namespace ctlproto
