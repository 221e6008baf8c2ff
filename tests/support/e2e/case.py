"""What every end-to-end test shares: exit codes, time limits, clean-up, and one line of figures."""

import asyncio
import os
import signal
import sys
import time
import traceback

from netlab import CannotRun, Lab

EXIT_PASSED, EXIT_FAILED, EXIT_CANNOT_RUN = 0, 1, 77


class CheckFailed(Exception):
    pass


def check(condition, message):
    if not condition:
        raise CheckFailed(message)


def figures(text):
    print(f"  {text}", flush=True)


async def _limited(test, seconds):
    task = asyncio.current_task()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    with Lab() as lab:
        try:
            await asyncio.wait_for(test(lab), seconds)
        except asyncio.TimeoutError:
            lab.keep_directory = True
            raise CheckFailed(f"not finished after {seconds} s; logs in {lab.directory}") from None
        except CannotRun:
            raise
        except BaseException as error:
            lab.keep_directory = True
            print(f"logs are kept in {lab.directory}")
            raise error


def run(test, limit_s=60):
    """Runs `async test(lab)` and exits with 0, 1, or 77 when it cannot run here."""
    name = os.path.basename(sys.argv[0])
    started = time.monotonic()
    try:
        asyncio.run(_limited(test, limit_s))
        code, word = EXIT_PASSED, "passed"
    except CannotRun as reason:
        print(f"cannot run here: {reason}")
        code, word = EXIT_CANNOT_RUN, "skipped"
    except CheckFailed as failure:
        print(f"FAILED: {failure}")
        code, word = EXIT_FAILED, "failed"
    except asyncio.CancelledError:
        print("FAILED: ended by a signal")
        code, word = EXIT_FAILED, "failed"
    except Exception:
        traceback.print_exc()
        code, word = EXIT_FAILED, "failed"
    print(f"{name}: {word} after {time.monotonic() - started:.1f} s", flush=True)
    sys.exit(code)
