"""Measures in a process of its own: `worker.py NOUN OPTIONS`, with the options as JSON.

It runs in the environment of a peer, too, where this library is not installed. What is measured
comes as one line of JSON at the end of its output.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import sys
from pathlib import Path

from loguru import logger

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.contenders import keep_home

if __name__ == "__main__":
    logger.remove()
    keep_home()
    measure = importlib.import_module(f"benchmarks.{sys.argv[1]}").measure
    figures = asyncio.run(measure(**json.loads(sys.argv[2])))
    print(json.dumps(figures), flush=True)
