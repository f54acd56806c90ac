"""What the object stores answer to a presigned PUT, by their documentation, and what follows.

Whatever a store says but 2xx is about the URL, which is used up: a fresh one is worth another try.
An answer that blames the upload itself is believed when it has come `STORE_TRIES` times in a row.
"""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Literal

import pytest
import respx

from pipecat_roark.delivery.client import UPLOADS_PATH, RoarkClient
from pipecat_roark.delivery.delivery import Delivery
from pipecat_roark.delivery.retry import STORE_TRIES, store_failure
from support.servers import KEY, PCM, STORE, failed
from support.timing import VirtualTime

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipecat_roark.receipt import Receipt

NOW = datetime(2026, 3, 1, 12, tzinfo=timezone.utc)
ROARK = "https://roark.test"

Follows = Literal["tried for ever", "tried a few times"]

ANSWERS: dict[tuple[str, int, str], Follows] = {
    # Amazon S3
    ("S3", 301, "PermanentRedirect"): "tried for ever",
    ("S3", 307, "TemporaryRedirect"): "tried for ever",
    ("S3", 400, "RequestTimeout"): "tried a few times",
    ("S3", 400, "ExpiredToken"): "tried a few times",
    ("S3", 400, "IncompleteBody"): "tried a few times",
    ("S3", 400, "EntityTooLarge"): "tried a few times",
    ("S3", 403, "AccessDenied"): "tried for ever",
    ("S3", 403, "RequestTimeTooSkewed"): "tried for ever",
    ("S3", 403, "SignatureDoesNotMatch"): "tried for ever",
    ("S3", 404, "NoSuchBucket"): "tried a few times",
    ("S3", 405, "MethodNotAllowed"): "tried a few times",
    ("S3", 409, "OperationAborted"): "tried for ever",
    ("S3", 411, "MissingContentLength"): "tried a few times",
    ("S3", 412, "PreconditionFailed"): "tried a few times",
    ("S3", 500, "InternalError"): "tried for ever",
    ("S3", 501, "NotImplemented"): "tried for ever",
    ("S3", 503, "SlowDown"): "tried for ever",
    # Google Cloud Storage, XML API
    ("GCS", 400, "ExpiredToken"): "tried a few times",
    ("GCS", 401, "AuthenticationRequired"): "tried a few times",
    ("GCS", 403, "AccessDenied"): "tried for ever",
    ("GCS", 408, "RequestTimeout"): "tried for ever",
    ("GCS", 413, "EntityTooLarge"): "tried a few times",
    ("GCS", 429, "TooManyRequests"): "tried for ever",
    ("GCS", 502, "BadGateway"): "tried for ever",
    ("GCS", 504, "GatewayTimeout"): "tried for ever",
    # Azure Blob Storage
    ("Azure", 400, "MissingRequiredHeader"): "tried a few times",
    ("Azure", 403, "AuthenticationFailed"): "tried for ever",
    ("Azure", 404, "ContainerNotFound"): "tried a few times",
    ("Azure", 409, "ContainerBeingDeleted"): "tried for ever",
    ("Azure", 412, "LeaseIdMissing"): "tried a few times",
    ("Azure", 413, "RequestBodyTooLarge"): "tried a few times",
    ("Azure", 500, "OperationTimedOut"): "tried for ever",
    ("Azure", 503, "ServerBusy"): "tried for ever",
    # Cloudflare R2
    ("R2", 400, "EntityTooLarge"): "tried a few times",
    ("R2", 403, "ExpiredRequest"): "tried for ever",
    ("R2", 408, "ClientDisconnect"): "tried for ever",
    ("R2", 429, "TooManyRequests"): "tried for ever",
    ("R2", 500, "InternalError"): "tried for ever",
    ("R2", 503, "ServiceUnavailable"): "tried for ever",
    # MinIO
    ("MinIO", 400, "XMinioInvalidObjectName"): "tried a few times",
    ("MinIO", 403, "AccessDenied"): "tried for ever",
    ("MinIO", 499, "ClientDisconnected"): "tried a few times",
    ("MinIO", 503, "XMinioServerNotInitialized"): "tried for ever",
    ("MinIO", 503, "SlowDownWrite"): "tried for ever",
    ("MinIO", 507, "XMinioStorageFull"): "tried for ever",
}
"""By store, status and error code."""


@respx.mock
@pytest.mark.parametrize(("answer", "follows"), ANSWERS.items(), ids=str)
async def test_an_answer_is_about_the_url(answer: tuple[str, int, str], follows: Follows) -> None:
    """Another try is always worth it; how often depends on whom the answer blames."""
    _, status, code = answer
    respx.post(f"{ROARK}{UPLOADS_PATH}").respond(json={"uploadUrl": STORE})
    respx.put(STORE).respond(status, text=f"<Error><Code>{code}</Code></Error>")
    client = RoarkClient(ROARK, KEY, "call#1")
    failure = await failed(client.upload_chunk(0, PCM))
    await client.aclose()
    assert str(failure) == f"the object store answered {status}"
    assert (failure.retryable, failure.refused) == (True, False)
    assert failure.tries == (None if follows == "tried for ever" else STORE_TRIES)


def test_a_store_may_ask_for_a_wait_but_not_for_an_end() -> None:
    """`x-should-retry` is a header of Roark's."""
    headers = {"retry-after": "3", "x-should-retry": "false"}
    for status in (413, 503):
        failure = store_failure(status, headers, NOW, to="the object store")
        assert failure.retryable
        assert failure.retry_after == timedelta(seconds=3)


class ScriptedStore(RoarkClient):
    """A client whose store gives answers one after the other, the last one for ever."""

    def __init__(self, answers: Sequence[int | None]) -> None:
        super().__init__(ROARK, KEY, "call-1")
        self.tries = 0
        self._answers = answers

    async def send_event(self, event: bytes) -> None:
        """Take every event."""

    async def upload_chunk(self, index: int, pcm: bytes) -> None:  # noqa: ARG002
        """Answer with a status, or take the chunk."""
        status = self._answers[min(self.tries, len(self._answers) - 1)]
        self.tries += 1
        if status is not None:
            raise store_failure(status, {}, NOW, to="the object store")


async def delivered(client: ScriptedStore) -> Receipt:
    """Deliver a call of one chunk that lasts ten minutes."""
    time = VirtualTime()
    made = Delivery(client, label="call-1", jitter=max, clock=time.clock, sleep=time.sleep)
    made.begin(b"{}")
    made.add_audio(PCM)
    await time.sleep(600)
    await made.finish(b"{}")
    return made.receipt


@pytest.mark.parametrize("status", [400, 403, 404, 413, 499])
async def test_what_goes_wrong_once_is_delivered(status: int) -> None:
    """One answer of a store loses nothing."""
    client = ScriptedStore([status, None])
    assert (await delivered(client)).whole
    assert client.tries == 2


async def test_what_is_hopeless_is_given_up_after_a_stated_number() -> None:
    """It is lost, and the receipt says that it was rejected."""
    client = ScriptedStore([413])
    receipt = await delivered(client)
    assert client.tries == STORE_TRIES
    assert [(loss.why, loss.reason) for loss in receipt.lost] == [
        ("the object store answered 413", "rejected")
    ]


async def test_only_answers_in_a_row_are_hopeless() -> None:
    """Anything else in between, and the count starts anew."""
    few = [400] * (STORE_TRIES - 1)
    client = ScriptedStore([*few, 503, *few, None])
    assert (await delivered(client)).whole
    assert client.tries == 2 * STORE_TRIES


async def test_an_expired_url_is_never_hopeless() -> None:
    """A clock that is wrong for a while costs no audio."""
    assert (await delivered(ScriptedStore([*[403] * 30, None]))).whole
