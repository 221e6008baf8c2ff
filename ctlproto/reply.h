// Replies: values to text for the daemon, text to values for tools. Pure; any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace ctlproto {

// Longest reply without cookie, line end included, for all but I, G, Q and J. Kamailio and OpenSIPS
// read at most 255 bytes; the longest cookie seen on UDP (Sippy's 32 digits) and its blank fit too.
inline constexpr size_t kShortReplyBytesMax = 220;

// The answer to U, L, `&& L` and Cp.
struct PortReply {
  uint16_t port = 0;
  std::string address;  // what goes into the SDP; empty: not told (wildcard bind)
  bool ipv6 = false;    // the family of the bind address, not of the text
  friend bool operator==(const PortReply&, const PortReply&) = default;
};

// What one executed sub-command gave.
struct SubResult {
  enum class Kind : uint8_t { succeeded, failed, text };
  Kind kind = Kind::succeeded;
  std::string text;
  friend bool operator==(const SubResult&, const SubResult&) = default;
};

// `30000`, `30000 192.0.2.1` or `30000 2001:db8::1 6`, without line end.
std::string format_port(const PortReply& reply);

// `E<code>` with its line end.
std::string format_error(int code);

// `main` (without line end) with the results of the sub-commands executed, in order, and one line
// end. Successes without text show as ` && 0` only when something behind them is shown. Where a
// result would exceed `bytes_max`, ` && -1` stands for it and the rest is left out.
std::string format_reply(std::string_view main, std::span<const SubResult> results,
                         size_t bytes_max = kShortReplyBytesMax);

// A reply as a tool sees it.
struct Reply {
  std::string main;                // the text before the first ` && `, without line end
  std::optional<int> error_code;   // main is `E<n>`
  std::optional<uint32_t> number;  // main starts with a number: a port, 0, 1 or the version
  std::string address;             // the second word behind a number, if any
  bool ipv6 = false;               // the third word starts with 6
  std::vector<SubResult> results;  // trailing successes are not on the wire
};

// `text` is one reply without its cookie. Any text is a reply: I, G and J answer with what they
// like.
Reply parse_reply(std::string_view text);

}  // namespace ctlproto
