"""Calls between two crowds, set up by the control protocol alone."""

import asyncio
import time

from case import check
from crowd import Crowd, compare

FIRST_PORT = 20000


class CrowdCalls:
    """`callers` and `callees` are (host, address, address as the proxy sees it)."""

    def __init__(self, lab, control, count, callers, callees):
        self._control, self.count = control, count
        ports = [FIRST_PORT + 2 * n for n in range(count)]
        self._seen = (callers[2], callees[2])
        self._told = []
        self.callers = Crowd(lab, callers[0], callers[1], ports, side=1, peer_side=2)
        self.callees = Crowd(lab, callees[0], callees[1], ports, side=2, peer_side=1)

    def set_up(self):
        """Each call's phones start to speak as soon as it is signalled."""
        for n in range(self.count):
            towards_callee = self._endpoint(
                f"Uc8 {self.call_id(n)} {self._seen[0]} {self.callers.ports[n]} from{n};1")
            towards_caller = self._endpoint(
                f"Lc8 {self.call_id(n)} {self._seen[1]} {self.callees.ports[n]} from{n};1 to{n};1")
            self.callers.speak(n, towards_caller)
            self.callees.speak(n, towards_callee)
            self._told.append((towards_caller, towards_callee))

    async def be_silent(self, calls, seconds):
        """One party of each of these calls says nothing for a while: a pause, a hold."""
        callers = [n for n in calls if n % 2]
        callees = [n for n in calls if n % 2 == 0]
        self.callers.silence(callers)
        self.callees.silence(callees)
        await asyncio.sleep(seconds)
        for n in callers:
            self.callers.speak(n, self._told[n][0])
        for n in callees:
            self.callees.speak(n, self._told[n][1])

    @staticmethod
    def call_id(n):
        return f"call{n}@crowd.example"

    def _endpoint(self, command):
        reply = self._control.send(command)
        words = reply.split()
        check(len(words) in (2, 3) and words[0].isdigit() and words[0] != "0",
              f"'{command}' was answered '{reply}', expected a port and an address")
        return words[1], int(words[0])

    async def count_when_all_hear(self, timeout_s=10):
        give_up = time.monotonic() + timeout_s
        while deaf := (self.callers.deaf_phones(), self.callees.deaf_phones()):
            if not any(deaf):
                break
            check(time.monotonic() < give_up,
                  f"after {timeout_s} s callers {deaf[0]} and callees {deaf[1]} hear nothing")
            await asyncio.sleep(0.1)
        self.callers.count_from_here()
        self.callees.count_from_here()

    def ask_deleted(self):
        for n in range(self.count):
            command = f"D {self.call_id(n)} from{n} to{n}"
            reply = self._control.send(command)
            check(reply == "0", f"'{command}' was answered '{reply}'")

    async def finish(self, drain_s=1.0):
        """Falls silent, hears what is under way; the figures of both directions."""
        everybody = range(self.count)
        self.callers.silence(everybody)
        self.callees.silence(everybody)
        await asyncio.sleep(drain_s)
        callers, callees = self.callers.report(), self.callees.report()
        self.callers.leave()
        self.callees.leave()
        return compare(callers, callees), compare(callees, callers)
