// Any bytes as a control datagram: no crash, views stay inside, errors have a meaning, and what is
// accepted survives the way to canonical text and back.
#include <algorithm>
#include <cstdint>
#include <string_view>

#include "ctlproto/error_codes.h"
#include "ctlproto/format.h"
#include "ctlproto/parse.h"
#include "ctlproto/reply.h"
#include "relay/base/assert.h"

namespace {

bool is_inside(std::string_view part, std::string_view whole) {
  return part.empty() ||
         (part.data() >= whole.data() && part.data() + part.size() <= whole.data() + whole.size());
}

void check_command(std::string_view text) {
  const auto request = ctlproto::parse_request(text);
  if (!request) {
    RELAY_ASSERT(!ctlproto::error_meaning(request.error().code).empty());
    RELAY_ASSERT(!request.error().message.empty() && request.error().message.size() < 1024);
    return;
  }
  const std::string canonical = ctlproto::format_request(*request);
  const auto again = ctlproto::parse_request(canonical);
  RELAY_ASSERT(again.has_value());
  RELAY_ASSERT(*again == *request);
  RELAY_ASSERT(ctlproto::format_request(*again) == canonical);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (text.size() > ctlproto::kCommandBytesMax) return 0;
  const ctlproto::CookedCommand cooked = ctlproto::split_cookie(text);
  RELAY_ASSERT(is_inside(cooked.cookie, text) && is_inside(cooked.command, text));
  check_command(cooked.command);
  check_command(text);

  const ctlproto::Reply reply = ctlproto::parse_reply(text);
  const std::string shown = ctlproto::format_reply(reply.main, reply.results);
  RELAY_ASSERT(shown.size() <= std::max(ctlproto::kShortReplyBytesMax, reply.main.size() + 1));
  return 0;
}
