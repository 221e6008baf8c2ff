#!/usr/bin/env python3
"""A hundred calls one after the other, four at a time: no packet of any of them may be lost.
RELAY_E2E_CALLS and RELAY_E2E_PARALLEL change the numbers."""

import asyncio
import os
import time

import e2e
from calls import Pair, Stage
from media import Figures

CALLS = int(os.environ.get("RELAY_E2E_CALLS", "100"))
PARALLEL = int(os.environ.get("RELAY_E2E_PARALLEL", "4"))
SECONDS = 2


async def test(lab):
    stage = Stage(lab)
    alice_host = stage.phone_behind_nat("alice", 1)
    bob_host = stage.public_phone("bob", 2)
    await stage.ready()
    pair = await Pair(stage, alice_host, bob_host, calls=CALLS, parallel=PARALLEL).start()
    started = time.monotonic()
    total = Figures()
    done = 0

    async def one_after_the_other():
        nonlocal done
        while done < CALLS:
            done += 1
            total.add(await pair.plain_call(SECONDS, label=f"call {done}"))

    await asyncio.gather(*[one_after_the_other() for _ in range(PARALLEL)])
    await pair.finished()
    total.check_perfect(f"{CALLS} calls", at_least=CALLS * 2 * SECONDS * 50)
    await stage.until_sockets_closed()
    stage.close()
    e2e.figures(f"{CALLS} calls in {time.monotonic() - started:.1f} s: {total}")


e2e.run(test, limit_s=170)
