// Who is who: sessions by call-id, in order of creation, and which tag a command means.
// Everything is a hash or tree look-up; nothing walks all sessions. Control thread.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "relay/session/session.h"

namespace relay {

struct StringHash {
  using is_transparent = void;
  size_t operator()(std::string_view text) const noexcept {
    return std::hash<std::string_view>{}(text);
  }
};

class SessionTable {
 public:
  struct Match {
    Session* session = nullptr;
    // The leg whose port U reports when it is sent with these tags: `callee` when the from-tag is
    // the session's own, `caller` when the to-tag is.
    LegId leg_of_update = LegId::callee;
  };
  enum class Which { active, lingering };

  // Takes the session in under a new serial number.
  Session& add(std::unique_ptr<Session> session);
  std::unique_ptr<Session> take(Session& session);

  // Which session a U, L, P, S, C or Q means: the first whose tag is `from`, or is `to` (a media
  // number that `to` lacks is taken from `from`).
  std::optional<Match> find(std::string_view call_id, std::string_view from,
                            std::optional<std::string_view> to, Which which = Which::active) const;
  // In order of creation.
  std::vector<Session*> of_call(std::string_view call_id) const;
  // Sessions of `base-<digits>` and `base;<text>`.
  std::vector<Session*> of_similar_calls(std::string_view base) const;

  Session* by_serial(uint64_t serial) const;
  // Up to `limit` sessions with serial numbers above `serial`, ascending.
  std::vector<Session*> after(uint64_t serial, size_t limit) const;
  size_t size() const { return by_serial_.size(); }

 private:
  template <typename Value>
  using ByText = std::unordered_map<std::string, Value, StringHash, std::equal_to<>>;

  ByText<std::vector<std::unique_ptr<Session>>> by_call_id_;
  ByText<std::map<uint64_t, Session*>> by_base_;  // only call-ids that have a suffix
  std::map<uint64_t, Session*> by_serial_;
  uint64_t last_serial_ = 0;
};

}  // namespace relay
