"""The requests of a call as they came, a line of JSON for each; keys are never among them."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from datetime import datetime, timezone
from typing import TYPE_CHECKING

from pipecat_roark.local.store import REQUESTS_FILE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MOST_REQUESTS = 20_000
"""What comes later is not logged; two hours of a call are about 5,000 requests."""
_LONGEST_REFUSED_BODY = 2000
_OK = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggedRequest:
    """A request and its answer.

    Attributes:
        method: HTTP method.
        path: The path as it was asked for, but of an upload only `/upload`.
        status: HTTP status of the answer.
        size: Size of the body in bytes.
        body: The body, if it is JSON; of a request that was refused, only its beginning.
        at: When it came, ISO 8601 in UTC.
    """

    method: str
    path: str
    status: int
    size: int
    body: str | None = None
    at: str = field(default_factory=lambda: datetime.now(timezone.utc).isoformat())


def describe(method: str, path: str, status: int, raw: bytes) -> LoggedRequest:
    """Describe a request with a JSON body."""
    body = raw.decode(errors="replace")
    return LoggedRequest(
        method=method,
        path=path,
        status=status,
        size=len(raw),
        body=body if status == _OK else body[:_LONGEST_REFUSED_BODY],
    )


def append(folder: Path, request: LoggedRequest) -> None:
    """Add a request to the log of a call."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / REQUESTS_FILE).open("a", encoding="utf-8") as log:
        log.write(f"{json.dumps(asdict(request))}\n")


def accepted_events(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Yield kind and body of each lifecycle event in the log that was accepted."""
    log = folder / REQUESTS_FILE
    for line in log.read_text(encoding="utf-8").splitlines() if log.is_file() else ():
        yield from _accepted(line)


def _accepted(line: str) -> Iterator[tuple[str, bytes]]:
    try:
        request = json.loads(line)
        if request["status"] == _OK:
            body = request["body"]
            yield json.loads(body)["event"], body.encode()
    except (ValueError, KeyError, TypeError):
        return  # no event, or a line that was cut or edited
