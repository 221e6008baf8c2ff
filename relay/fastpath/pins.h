// What outlives this process: maps and links pinned under BPFFS/INSTANCE. One process at a time
// holds an instance. Control thread.
#pragma once

#include <optional>
#include <string>

#include "relay/base/result.h"
#include "relay/base/unique_fd.h"
#include "relay/fastpath/bpf_program.h"

namespace relay {

class Pins {
 public:
  // Makes the folder and locks it. Fails if `bpffs` is no bpf file system, the instance's name has
  // other characters than letters, digits, - and _, or another process holds it.
  static Result<Pins> open(const std::string& bpffs, const std::string& instance);

  // The pinned maps, if they are complete and of this program's layout. Maps of another layout of
  // ours are removed with their links; maps of others are refused.
  Result<std::optional<BpfMapFds>> adopt();
  Result<void> pin_maps(const BpfProgram& program);
  std::string link_path(uint32_t ifindex) const;
  // Removes all that is pinned, which detaches the links, and the folder.
  void remove_all();

 private:
  Pins(std::string folder, UniqueFd lock) : folder_(std::move(folder)), lock_(std::move(lock)) {}
  std::string map_path(BpfMap map) const;
  void remove_contents() const;

  std::string folder_;
  UniqueFd lock_;
};

}  // namespace relay
