// Stands in for fastpath.cc where the kernel program could not be built.
#include "relay/fastpath/fastpath.h"

namespace relay {

Result<std::unique_ptr<Fastpath>> Fastpath::open(const FastpathOptions& options) {
  const std::string reason =
      "fast path: off, this program was built without it (clang, bpftool and libbpf are needed)";
  if (options.mode == FastpathMode::require) return fail(reason);
  return no_fastpath(options.mode == FastpathMode::off ? "fast path: off, as configured" : reason);
}

}  // namespace relay
