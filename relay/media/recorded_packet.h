// What recordings are made of. Recorder thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "relay/base/clock.h"
#include "relay/base/endpoint.h"
#include "relay/base/result.h"
#include "relay/flow/flow.h"
#include "relay/rtp/demux.h"

namespace relay {

struct RecordedPacket {
  LegId leg = LegId::callee;  // whose party sent it
  bool is_rtcp = false;       // or came to the RTCP port
  Endpoint source, local;
  Instant arrival{};
  int64_t wall_ns = 0;  // the same as nanoseconds since 1970
  Bytes bytes;
};

// One open file of a recording.
class RecordWriter {
 public:
  virtual ~RecordWriter() = default;
  // False: the packet is not for this kind of file.
  virtual Result<bool> write(const RecordedPacket& packet) = 0;
  // What is still in memory goes into the file, which is then complete as far as it goes.
  virtual Result<void> flush() = 0;
  // flush(), for the last time.
  virtual Result<void> finish() = 0;
  // Of the packets written, those that a failure kept from the file.
  virtual uint64_t lost() const { return 0; }
};

}  // namespace relay
