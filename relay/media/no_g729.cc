// A build without G.729.
#include "relay/media/g729_codec.h"

namespace relay {
namespace {

tl::unexpected<Error> not_built() {
  return fail("G.729 is not part of this build; it needs -DRELAY_WITH_BCG729=ON");
}

}  // namespace

bool has_g729() {
  return false;
}

Result<std::unique_ptr<AudioDecoder>> make_g729_decoder() {
  return not_built();
}

Result<std::unique_ptr<AudioEncoder>> make_g729_encoder(bool) {
  return not_built();
}

}  // namespace relay
