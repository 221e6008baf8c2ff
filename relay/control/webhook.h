// Webhooks: where voice events go by HTTP, and in what form.
#pragma once

#include <string>
#include <vector>

#include "relay/base/result.h"
#include "relay/config/voice_config.h"
#include "relay/control/http_transport.h"

namespace relay {

// Reads the secrets of the headers; the error names the line of the file and never a secret.
Result<std::vector<WebhookTarget>> load_webhooks(const VoiceConfig& config);

HttpManner webhook_manner();

}  // namespace relay
