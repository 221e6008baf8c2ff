// Hooking the program into an interface's ingress: a TCX link (Linux ≥ 6.6), else a filter of a
// clsact queueing discipline. Control thread.
#pragma once

#include <string>

#include "relay/base/result.h"
#include "relay/base/unique_fd.h"
#include "relay/fastpath/bpf_program.h"
#include "relay/fastpath/interfaces.h"

namespace relay {

enum class HookKind : uint8_t { tcx, clsact };
const char* to_string(HookKind kind);

// A TCX link lasts while it is pinned or this object lives; a clsact filter until detach().
struct Attachment {
  Interface interface;
  HookKind kind = HookKind::tcx;
  UniqueFd link;            // tcx
  std::string pin_path;     // tcx; empty: not pinned
  uint32_t program_id = 0;  // clsact
};

// Takes over the link pinned at `pin_path`, or the filter, without a packet passing unseen;
// attaches anew if there is none. An empty `pin_path` pins nothing. `allow_tcx` is for tests.
Result<Attachment> attach(const BpfProgram& program, const Interface& interface,
                          const std::string& pin_path, bool allow_tcx = true);
// True while the attachment is on a living interface. Needs no privileges.
bool is_attached(const Attachment& attachment);
void detach(Attachment& attachment);

}  // namespace relay
