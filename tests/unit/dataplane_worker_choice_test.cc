#include <doctest/doctest.h>

#include <vector>

#include "relay/dataplane/worker_choice.h"

namespace relay {
namespace {

struct Row {
  const char* name;
  std::vector<WorkerLoad> workers;
  uint32_t expected;
};

const Row kRows[] = {
    {"one worker", {{5000, 1.0}}, 0},
    {"nothing runs", {{}, {}, {}}, 0},
    {"the first has room", {{499, 0.1}, {}}, 0},
    {"the first has as many as it is trusted with", {{500, 0.1}, {}}, 1},
    {"few calls, but they take much", {{20, 0.5}, {}}, 1},
    {"room again in the first", {{120, 0.2}, {500, 0.45}}, 0},
    {"two are full, the third begins", {{500, 0.5}, {700, 0.3}, {}}, 2},
    {"all are full: the least of them", {{800, 0.7}, {700, 0.65}, {900, 0.6}}, 1},
    {"all are full: calls that have not begun count", {{800, 0.0}, {700, 0.0}}, 1},
    {"all are full and equal: the first", {{600, 0.6}, {600, 0.6}}, 0},
};

}  // namespace

TEST_CASE("a call goes to the first worker with room") {
  for (const Row& row : kRows) {
    CAPTURE(row.name);
    CHECK(choose_worker(row.workers) == row.expected);
  }
}

TEST_CASE("calls that fill a worker each are dealt out") {
  std::vector<WorkerLoad> workers(3);
  for (int i = 0; i < 9; ++i) ++workers[choose_worker(workers, kFullWorker)].groups;
  for (const WorkerLoad& worker : workers) CHECK(worker.groups == 3);
}

TEST_CASE("5000 calls at once fill one worker after the other, then evenly") {
  std::vector<WorkerLoad> workers(4);
  for (int i = 0; i < 1000; ++i) ++workers[choose_worker(workers)].groups;
  CHECK(workers[1].groups == 500);
  CHECK(workers[2].groups == 0);
  for (int i = 0; i < 4000; ++i) ++workers[choose_worker(workers)].groups;
  for (const WorkerLoad& worker : workers) CHECK(worker.groups == 1250);
}

}  // namespace relay
