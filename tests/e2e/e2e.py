"""Finds the shared modules, for tests started as `./something_test.py`."""

import pathlib
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support/e2e"))

from case import check, figures, run  # noqa: E402,F401
