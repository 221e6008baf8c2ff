#include "relay/fastpath/attachment.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <net/if.h>

#include <cstring>
#include <string_view>

namespace relay {
namespace {

// linux/bpf.h of 6.6 and later; older headers do not know the name.
constexpr auto kTcxIngress = static_cast<bpf_attach_type>(46);
constexpr uint32_t kFilterHandle = 1, kFilterPriority = 1;
constexpr std::string_view kProgramName = "rtpp_relay";

// The interface a link is on; 0 if that interface is gone or this is no such link.
uint32_t interface_of(int link) {
  bpf_link_info info{};
  uint32_t size = sizeof info;
  if (bpf_obj_get_info_by_fd(link, &info, &size) != 0) return 0;
  return info.xdp.ifindex;  // tcx has it in the same place
}

bpf_tc_hook hook_of(const Interface& interface) {
  bpf_tc_hook hook{};
  hook.sz = sizeof hook;
  hook.ifindex = static_cast<int>(interface.ifindex);
  hook.attach_point = BPF_TC_INGRESS;
  return hook;
}

bpf_tc_opts filter_options() {
  bpf_tc_opts options{};
  options.sz = sizeof options;
  options.handle = kFilterHandle;
  options.priority = kFilterPriority;
  return options;
}

// The name of the program in our filter's place; empty: the place is free.
std::string name_in_place(const Interface& interface) {
  bpf_tc_hook hook = hook_of(interface);
  bpf_tc_opts options = filter_options();
  if (bpf_tc_query(&hook, &options) != 0) return {};
  const UniqueFd other(bpf_prog_get_fd_by_id(options.prog_id));
  bpf_prog_info info{};
  uint32_t size = sizeof info;
  if (!other || bpf_obj_get_info_by_fd(other.get(), &info, &size) != 0) return "unknown";
  return info.name;
}

// Also one that a predecessor without tcx has left.
void remove_filter(const Interface& interface) {
  if (name_in_place(interface) != kProgramName) return;
  bpf_tc_hook hook = hook_of(interface);
  bpf_tc_opts options = filter_options();
  bpf_tc_detach(&hook, &options);
}

// Kernels before 6.6 know neither the attach type nor a link for it.
bool is_unknown_to_kernel(int error) {
  return error == EINVAL || error == EOPNOTSUPP;
}

Result<Attachment> attach_tcx(const BpfProgram& program, const Interface& interface,
                              const std::string& pin_path, bool& unknown) {
  Attachment attachment{interface, HookKind::tcx, {}, pin_path, 0};
  if (!pin_path.empty()) {
    UniqueFd pinned(bpf_obj_get(pin_path.c_str()));
    if (pinned && interface_of(pinned.get()) == interface.ifindex) {
      if (bpf_link_update(pinned.get(), program.fd(), nullptr) != 0) {
        return fail_errno("cannot put the new program in place at " + interface.name);
      }
      attachment.link = std::move(pinned);
      return attachment;
    }
    if (pinned && ::unlink(pin_path.c_str()) != 0) return fail_errno("cannot remove " + pin_path);
  }
  remove_filter(interface);
  attachment.link = UniqueFd(
      bpf_link_create(program.fd(), static_cast<int>(interface.ifindex), kTcxIngress, nullptr));
  if (!attachment.link) {
    unknown = is_unknown_to_kernel(errno);
    return fail_errno("cannot attach to " + interface.name + " by tcx");
  }
  if (!pin_path.empty() && bpf_obj_pin(attachment.link.get(), pin_path.c_str()) != 0) {
    return fail_errno("cannot pin " + pin_path);
  }
  return attachment;
}

Result<Attachment> attach_clsact(const BpfProgram& program, const Interface& interface) {
  bpf_tc_hook hook = hook_of(interface);
  const int created = bpf_tc_hook_create(&hook);
  if (created != 0 && created != -EEXIST) {
    return fail_errno("cannot add a clsact qdisc to " + interface.name, -created);
  }
  const std::string other = name_in_place(interface);
  if (!other.empty() && other != kProgramName) {
    return fail("on " + interface.name + " the tc filter of priority 1, handle 1 is program \"" +
                other + "\" already");
  }
  bpf_tc_opts options = filter_options();
  options.prog_fd = program.fd();
  options.flags = other.empty() ? 0U : static_cast<unsigned>(BPF_TC_F_REPLACE);
  if (const int error = bpf_tc_attach(&hook, &options); error != 0) {
    return fail_errno("cannot attach to " + interface.name + " by clsact", -error);
  }
  return Attachment{interface, HookKind::clsact, {}, {}, options.prog_id};
}

}  // namespace

const char* to_string(HookKind kind) {
  return kind == HookKind::tcx ? "tcx" : "clsact";
}

Result<Attachment> attach(const BpfProgram& program, const Interface& interface,
                          const std::string& pin_path, bool allow_tcx) {
  if (!allow_tcx) return attach_clsact(program, interface);
  bool unknown = false;
  auto attached = attach_tcx(program, interface, pin_path, unknown);
  return unknown ? attach_clsact(program, interface) : std::move(attached);
}

bool is_attached(const Attachment& attachment) {
  if (attachment.kind == HookKind::tcx) {
    return interface_of(attachment.link.get()) == attachment.interface.ifindex;
  }
  bpf_tc_hook hook = hook_of(attachment.interface);
  bpf_tc_opts options = filter_options();
  return bpf_tc_query(&hook, &options) == 0 && options.prog_id == attachment.program_id;
}

void detach(Attachment& attachment) {
  if (!attachment.pin_path.empty()) ::unlink(attachment.pin_path.c_str());
  attachment.link.reset();
  if (attachment.kind == HookKind::clsact) remove_filter(attachment.interface);
}

}  // namespace relay
