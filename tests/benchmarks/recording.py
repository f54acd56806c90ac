"""How true a recording is to a call in real time, through a real pipeline and its transports.

uv run python tests/benchmarks/recording.py       # 60 s, with mutes, stalls and talk over talk
uv run python tests/benchmarks/recording.py 15    # 15 times 20 s
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from loguru import logger

sys.path.insert(0, str(Path(__file__).parents[1]))

from support.audio import audible_secs
from support.feed import OUT_RATE
from support.live import PERIOD, LiveCall

LIMIT_MS = 20


async def main(periods: int) -> int:
    """Print how far the recording is from the truth; 1 if that is too far."""
    logger.remove()
    call = LiveCall(periods)
    await call.hold()
    channels = call.feed.recorded()
    worst = abs(1000 * (len(channels[0]) / OUT_RATE - PERIOD * periods))
    print(f"length: {len(channels[0]) / OUT_RATE:.3f} s, {worst:.1f} ms from the truth")
    whole = True
    for name, samples, spans in zip(("user", "assistant"), channels, call.truth(), strict=True):
        found = audible_secs(samples, pause=0.005)
        whole &= len(found) == len(spans)
        off = max(
            1000 * abs(mine - true)
            for span, truth in zip(found, spans, strict=False)
            for mine, true in zip(span, truth, strict=True)
        )
        worst = max(worst, off)
        print(f"{name}: {len(found)} sounds of {len(spans)}, at most {off:.1f} ms from the truth")
    return int(not whole or worst > LIMIT_MS)


if __name__ == "__main__":
    sys.exit(asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 3)))
