"""A bot that answers a telephone number of Twilio, with Roark.

Fill in `.env` as for `bot.py`, with `TWILIO_ACCOUNT_SID` and `TWILIO_AUTH_TOKEN` as well, by which
the bot hangs up. Then make this machine reachable, for example with ngrok, and point the number's
webhook there:

    uv run --extra bot examples/twilio_bot.py --transport twilio --proxy YOUR.ngrok.io

Written for Pipecat 1.14, so it needs Python 3.11 or newer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipecat.runner.utils import create_transport
from pipecat.transports.websocket.fastapi import FastAPIWebsocketParams
from pipecat.workers.runner import WorkerRunner

from bot import build_worker

if TYPE_CHECKING:
    from pipecat.runner.types import RunnerArguments

# The serializer of Twilio's messages is added by `create_transport`.
TRANSPORTS = {
    "twilio": lambda: FastAPIWebsocketParams(audio_in_enabled=True, audio_out_enabled=True),
}


async def bot(runner_args: RunnerArguments) -> None:
    """Hold one call; Pipecat's runner looks for this name."""
    transport = await create_transport(runner_args, TRANSPORTS)
    # The pipeline of bot.py, at the telephone's sample rate: so is the recording.
    worker, _ = build_worker(transport, runner_args, audio_out_sample_rate=8000)
    runner = WorkerRunner(handle_sigint=runner_args.handle_sigint)
    await runner.add_workers(worker)
    await runner.run()


if __name__ == "__main__":
    from dotenv import load_dotenv
    from pipecat.runner.run import main

    load_dotenv()
    main()
