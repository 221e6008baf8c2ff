// A call record as text: rtpproxy's CSV row (acct_csv, record version 1.2) and a line of JSON.
// Pure; any thread.
#pragma once

#include <string>

#include "relay/acct/call_record.h"

namespace relay {

// Who writes the record.
struct RecordOrigin {
  std::string node;  // host name
  int pid = 0;
};

// Each ends in a newline.
std::string csv_header();
// Fields that need it are in quotes (RFC 4180).
std::string csv_row(const CallRecord& record, const RecordOrigin& origin);
std::string json_line(const CallRecord& record, const RecordOrigin& origin);

}  // namespace relay
