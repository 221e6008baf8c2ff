// What the control protocol says, as values: one struct a command, `Request` for any of them.
// Texts (call-id, tags, names) are kept byte for byte as they came. Nothing here knows a relay.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

namespace ctlproto {

// One letter of the e/i modifiers: which network a side of the session faces.
enum class Direction : uint8_t { internal, external };

enum class Symmetry : uint8_t { unset, asymmetric, symmetric };

// Which local address the answered side's ports are to be opened on.
struct LocalAddress {
  enum class Kind : uint8_t {
    address,  // l<addr>, l[<v6>]
    label,    // l{label}
    towards,  // r<addr>, r[<v6>]: the one the kernel would use to reach <addr>
  };
  Kind kind = Kind::address;
  std::string value;
  friend bool operator==(const LocalAddress&, const LocalAddress&) = default;
};

// The letters behind U or L, and behind `&& L`.
struct MediaModifiers {
  Symmetry symmetry = Symmetry::unset;
  std::vector<Direction> directions;  // in the order given, at most two
  bool ipv6 = false;
  bool weak = false;
  bool new_port = false;
  std::optional<int> ptime_ms;                 // z: 1..999
  std::optional<std::vector<uint8_t>> codecs;  // c: absent, or the list (which may be empty)
  std::optional<LocalAddress> local_address;
  friend bool operator==(const MediaModifiers&, const MediaModifiers&) = default;
};

// The media address of the party whose SDP is described.
struct MediaAddress {
  enum class Kind : uint8_t {
    unusable,  // not an address at all; ignored as rtpproxy does (nothing is prefilled)
    hold,      // 0.0.0.0 or ::
    endpoint,
  };
  Kind kind = Kind::unusable;
  std::string address;  // numeric, without brackets; empty when unusable
  bool is_ipv6 = false;
  uint16_t port = 0;
  friend bool operator==(const MediaAddress&, const MediaAddress&) = default;
};

// Where to tell that a session timed out, as the command names it. `tag` is URL-decoded.
struct Notification {
  std::string socket;
  std::string tag;
  // Written in a way rtpproxy would not read as a notification (`TOTAG SOCKET`, `SOCKET;TAG`).
  // How it was written is no part of what it says, so comparison leaves it out.
  bool is_loose = false;
  friend bool operator==(const Notification& a, const Notification& b) {
    return a.socket == b.socket && a.tag == b.tag;
  }
};

// --- sub-commands, behind `&&` ---
struct SubDelete {
  bool weak = false;
  friend bool operator==(const SubDelete&, const SubDelete&) = default;
};
struct SubSet {
  enum class Name : uint8_t { ttl_s, tos };
  Name name = Name::ttl_s;
  int value = 0;
  bool on_out_stream = false;  // `Sr`
  friend bool operator==(const SubSet&, const SubSet&) = default;
};
struct SubLookup {
  MediaModifiers modifiers;
  MediaAddress media;
  friend bool operator==(const SubLookup&, const SubLookup&) = default;
};
struct SubFork {  // `C callid from to`: tee another session's directions into this one
  std::string call_id, from_tag, to_tag;
  friend bool operator==(const SubFork&, const SubFork&) = default;
};
struct SubModule {  // `M<module>:<instance> args…`
  int module = 0;
  int instance = 0;
  std::vector<std::string> arguments;
  friend bool operator==(const SubModule&, const SubModule&) = default;
};
using SubCommand = std::variant<SubDelete, SubSet, SubLookup, SubFork, SubModule>;

// --- commands ---
struct Update {  // U
  MediaModifiers modifiers;
  std::string call_id;
  MediaAddress media;
  std::string from_tag;
  std::optional<std::string> to_tag;
  std::optional<Notification> notification;
  std::vector<SubCommand> subcommands;
  friend bool operator==(const Update&, const Update&) = default;
};
struct Lookup {  // L
  MediaModifiers modifiers;
  std::string call_id;
  MediaAddress media;
  std::string from_tag;
  std::optional<std::string> to_tag;
  std::vector<SubCommand> subcommands;
  friend bool operator==(const Lookup&, const Lookup&) = default;
};
struct Delete {  // D
  bool weak = false;
  std::string call_id, from_tag;  // from_tag may be empty: OpenSIPS rtp_relay sends `D cid  toB`
  std::optional<std::string> to_tag;
  friend bool operator==(const Delete&, const Delete&) = default;
};
struct Play {     // P
  int count = 1;  // < 0: endless; 0: only stop what plays
  std::string call_id, name;
  std::optional<std::string> codecs;  // the list's text; nothing for the word `session`
  std::string from_tag;
  std::optional<std::string> to_tag;
  friend bool operator==(const Play&, const Play&) = default;
};
struct StopPlay {  // S
  std::string call_id, from_tag;
  std::optional<std::string> to_tag;
  friend bool operator==(const StopPlay&, const StopPlay&) = default;
};
struct Record {  // R
  bool single_file = false;
  std::string call_id, from_tag;
  std::optional<std::string> to_tag;
  friend bool operator==(const Record&, const Record&) = default;
};
struct Copy {  // C
  bool single_file = false;
  bool report_port = false;  // `p`
  std::string call_id, target, from_tag;
  std::optional<std::string> to_tag;
  friend bool operator==(const Copy&, const Copy&) = default;
};
struct StopRecord {  // N
  bool both_directions = false;
  std::string call_id, from_tag;
  std::optional<std::string> to_tag;
  friend bool operator==(const StopRecord&, const StopRecord&) = default;
};
struct Query {  // Q
  bool verbose = false;
  std::string call_id, from_tag;
  std::optional<std::string> to_tag;
  std::vector<std::string> fields;  // names as given; whether they exist is the answerer's to say
  std::vector<SubCommand> subcommands;  // D, S, M only
  friend bool operator==(const Query&, const Query&) = default;
};
struct Version {  // V
  friend bool operator==(const Version&, const Version&) = default;
};
struct Feature {  // VF
  std::string date;
  friend bool operator==(const Feature&, const Feature&) = default;
};
struct Info {  // I
  bool brief = false;
  bool load = false;
  friend bool operator==(const Info&, const Info&) = default;
};
struct Stats {  // G
  bool verbose = false;
  std::vector<std::string> names;
  friend bool operator==(const Stats&, const Stats&) = default;
};
struct DeleteAll {  // X
  friend bool operator==(const DeleteAll&, const DeleteAll&) = default;
};
// J, an extension of rtpp-relay (rtpproxy answers E0): one line of JSON.
//   J stats | J sessions [CURSOR] | J session CALLID
struct Json {
  enum class What : uint8_t { stats, sessions, session, voices, events, voicetest };
  What what = What::stats;
  // The cursor of sessions and events, which may be empty; the call-id; the profile.
  std::string argument;
  friend bool operator==(const Json&, const Json&) = default;
};

using Request = std::variant<Update, Lookup, Delete, Play, StopPlay, Record, Copy, StopRecord,
                             Query, Version, Feature, Info, Stats, DeleteAll, Json>;

}  // namespace ctlproto
