// What the operator asked for. StartupConfig is const after main() has read it; RuntimeConfig holds
// what a reload may change and is swapped whole. Source: command line, then TOML file.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "relay/base/endpoint.h"
#include "relay/base/log.h"
#include "relay/config/local_address.h"
#include "relay/config/modules.h"
#include "relay/config/setting.h"
#include "relay/config/voice_config.h"

namespace relay {

inline constexpr int kDefaultWorkerPriority = 1;

enum class ControlKind : uint8_t {
  udp,            // udp:HOST[:PORT], udp6:HOST[:PORT]; cookie-framed datagrams
  unix_one_shot,  // unix:PATH; one command a connection, no line end needed
  unix_stream,    // cunix:PATH; lines
  tcp,            // tcp:HOST[:PORT], tcp6:HOST[:PORT]; lines
  stdio,          // stdio: and stdioc:; lines on descriptors 0 and 1
  systemd,        // systemd:; a listening stream socket inherited as descriptor 3; lines
};

struct ControlSocketConfig {
  ControlKind kind = ControlKind::unix_one_shot;
  std::string text;                    // as configured, for messages
  Endpoint endpoint;                   // udp, tcp
  std::string path;                    // unix_*
  bool drain_at_end_of_input = false;  // stdioc:
};

enum class FastpathChoice : uint8_t { off, automatic, require };

enum class RecordFormatChoice : uint8_t { adhoc, pcap, wav };

enum class LatchPolicyDefault : uint8_t { strict, compat };

enum class NotifyKind : uint8_t {
  unix_stream,  // unix:PATH or PATH; lines
  tcp,          // tcp:HOST:PORT, tcp6:HOST:PORT; lines
  tcp_self,     // tcp:%%CC_SELF%%:PORT; lines to the host the command came from
  rpc_http,     // jsonrpc:http://HOST[:PORT]/PATH
  rpc_unix,     // jsonrpc:unix:PATH; datagrams
};

// Who is told that a session timed out (-n, --notify-all).
struct NotifyTargetConfig {
  NotifyKind kind = NotifyKind::unix_stream;
  std::string text;   // as configured; U's notify socket must name it
  Endpoint endpoint;  // tcp, rpc_http; tcp_self: the port alone
  std::string path;   // unix_stream, rpc_unix: of the socket; rpc_http: of the URL
  std::string host;   // rpc_http: what the Host header says
};

// Where copies of RTCP go, as HEPv3 (--hep).
struct HepCollectorConfig {
  std::string text;  // as configured, for messages
  bool tcp = false;
  Endpoint endpoint;
  uint32_t capture_id = 0;
};

struct StartupConfig {
  bool foreground = false;                       // -f
  bool skip_superuser_check = false;             // -F
  bool keep_working_directory = false;           // -D
  bool keep_standard_streams = false;            // --no_redirect
  bool called_as_rtpproxy = false;               // argv[0]
  std::string pid_file = "/run/rtpp-relay.pid";  // -p; empty: none
  std::string user, group;                       // -u user[:group]
  std::optional<unsigned> unix_socket_mode;      // -w, octal
  std::optional<int> nofile_limit;               // -L
  std::optional<int> nice;                       // --nice
  std::string realtime_policy;                   // -c fifo|rr; empty: none

  std::vector<ControlSocketConfig> control_sockets;  // -s
  std::vector<LocalAddressConfig> local_addresses;   // -l, -6; the first is the default
  bool bridging = false;               // two networks: local_addresses[0] internal, [1] external
  uint16_t port_min = 35000;           // -m
  uint16_t port_max = 65000;           // -M
  bool sequential_ports = false;       // -b
  int tos = 184;                       // -t; -1: leave alone
  unsigned worker_threads = 0;         // 0: one a CPU this process may use
  std::optional<int> worker_priority;  // --worker-priority; 0: none
  std::optional<Endpoint> http;        // --http
  FastpathChoice fastpath = FastpathChoice::automatic;  // --fastpath
  std::vector<std::string> fastpath_interfaces;         // beside those of the local addresses
  LatchPolicyDefault latch_policy = LatchPolicyDefault::strict;
  bool force_asymmetric = false;         // --force_asymmetric
  bool bridge_symmetric = true;          // bridging defaults to symmetric here; see the man page
  bool duplicate_small_packets = false;  // -2
  bool numeric_only = false;             // --no_resolve

  std::vector<std::string> prompt_directories;  // --prompt-dir, absolute

  std::vector<NotifyTargetConfig> notify_targets;                // -n, --notify
  std::optional<NotifyTargetConfig> notify_all;                  // --notify-all; never tcp_self
  std::string record_directory, spool_directory;                 // -r, -S
  RecordFormatChoice record_format = RecordFormatChoice::adhoc;  // --record-format, -P
  bool record_all = false;                                       // -a
  bool record_no_rtcp = false;                                   // -R

  // Call records, absolute paths; empty: none.
  std::string acct_csv_file, acct_json_file;       // --acct-csv, --acct-json
  std::vector<HepCollectorConfig> hep_collectors;  // --hep
  ModuleInstances modules;                         // --dso, rtpproxy's configuration file

  LogLevel log_level = LogLevel::warning;  // -d
  // -d LEVEL:FACILITY, LOG_DAEMON in the background; nothing in the foreground.
  std::optional<int> syslog_facility;
  std::string config_file;  // --config; TOML, or rtpproxy's UCL
  // What the command line said; a reload of the file yields to it.
  std::vector<Setting> command_line;
  // Options that were accepted but whose function this version lacks; said once at start-up.
  std::vector<std::string> notices;
};

// Settings that may change while calls run.
struct RuntimeConfig {
  std::chrono::seconds ttl{60};        // -T
  std::chrono::seconds setup_ttl{60};  // -W
  bool independent_ttl = false;        // -i
  // Overload protection: new sessions are refused (E98) while above either bound.
  bool overload_protection = false;  // --overload_prot
  unsigned overload_cpu_percent = 90;
  size_t sessions_max = 0;  // 0: bounded by ports and descriptors only
  // How long a prompt keeps a session whose parties send nothing; 0: for ever.
  std::chrono::seconds prompt_ttl{3600};
  // How long a leg rejected by one fork branch keeps the session for the others.
  std::chrono::seconds fork_grace{5};
  VoiceConfig voice;  // [voice], --voice
};

struct Config {
  StartupConfig startup;
  RuntimeConfig runtime;
};

}  // namespace relay
