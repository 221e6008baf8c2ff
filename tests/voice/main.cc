#define DOCTEST_CONFIG_IMPLEMENT
#include <doctest/doctest.h>

#include <cstdio>
#include <cstdlib>

int main(int argc, char** argv) {
  if (std::system("/usr/bin/python3 -c 'import websockets' 2>/dev/null") != 0) {
    std::puts("skipped: /usr/bin/python3 has no websockets (python3-websockets)");
    return 77;
  }
  return doctest::Context(argc, argv).run();
}
