#!/usr/bin/env python3
"""Ten calls that speak with an AI endpoint beside ten plain ones: the plain ones lose no packet, all
that the endpoint says is heard, and each caller hears one stream. How long things take is for
bench/voice_load."""

import e2e
from voice_load import VoiceLoad, left_out

CALLS, SECONDS = 10, 3


async def test(lab):
    load = VoiceLoad(lab)
    await load.ready()
    finish = await load.voices(CALLS, SECONDS + 2)
    plain = await load.plain(CALLS, SECONDS)
    outside, inside = await finish()
    media = plain["media"]
    lost = {key: media[key] for key in ("lost", "misdelivered", "wrong_source", "foreign")}
    e2e.check(not any(lost.values()), f"of the plain calls: {media}")
    up, down = outside["up"], outside["down"]
    e2e.check(down["sent"] == down["heard"] > 0, f"of what the endpoint said: {down}")
    # What comes late on a busy machine has been filled in for, and is left out later.
    counted = left_out(inside["counters"])
    e2e.check(up["heard"] >= 0.9 * up["sent"] > 0 and up["sent"] - up["heard"] <= counted,
              f"of what the callers said, {counted} counted as left out: {up}")
    e2e.check(outside["dialogues"] == CALLS and not outside["closed"], f"dialogues: {outside}")
    e2e.check(not outside["gaps"] and not outside["ssrcs"], f"not one stream each: {outside}")
    failed = {key: n for key, n in inside["counters"].items()
              if n and ("failed" in key or "dropped" in key or "refused" in key)}
    e2e.check(not failed, f"counters: {failed}")
    load.relay.stop()
    e2e.figures(f"plain: {media['delivered']} packets; AI: up {up}; down {down}")


e2e.run(test, limit_s=60)
