"""The retry policy."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from email.utils import format_datetime
from random import Random

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipecat_roark.delivery.retry import (
    WAIT_INITIAL,
    WAIT_MAX,
    Backoff,
    DeliveryError,
    failure,
    is_retryable,
    retry_after,
)

NOW = datetime(2026, 3, 1, 12, tzinfo=timezone.utc)
IN_TEN_SECONDS = format_datetime(NOW + timedelta(seconds=10), usegmt=True)


@pytest.mark.parametrize(
    ("status", "retryable"),
    [
        *((status, True) for status in (301, 307, 408, 409, 425, 429, 500, 502, 503, 504, 529)),
        *((status, False) for status in (400, 404, 410, 413, 422)),
    ],
)
def test_the_status_decides(status: int, *, retryable: bool) -> None:
    """A busy or broken server is asked again; any other answer is final."""
    error = failure(status, {}, NOW, to="Roark")
    assert (error.retryable, error.refused) == (retryable, False)
    assert str(error) == f"Roark answered {status}"


@pytest.mark.parametrize(
    ("status", "said", "retryable"),
    [
        (400, "true", True),
        (503, "false", False),
        (503, "False", False),
        (503, "maybe", True),
        (400, "", False),
    ],
)
def test_the_server_may_decide(status: int, said: str, *, retryable: bool) -> None:
    """`x-should-retry` takes precedence over the status, if it is one of two words."""
    headers = httpx.Headers({"X-Should-Retry": said})
    assert failure(status, headers, NOW, to="Roark").retryable is retryable


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, 0),
        ({"Retry-After": "3"}, 3),
        ({"Retry-After": "0.5"}, 0.5),
        ({"Retry-After": "3600"}, 60),
        ({"Retry-After": "-3"}, 0),
        ({"Retry-After": "1e999"}, 0),
        ({"Retry-After": "nan"}, 0),
        ({"Retry-After": "soon"}, 0),
        ({"Retry-After": ""}, 0),
        ({"Retry-After": IN_TEN_SECONDS}, 10),
        ({"Retry-After": IN_TEN_SECONDS.replace("GMT", "-0000")}, 10),
        ({"Retry-After": "Sun, 01 Mar 2026 14:00:10 +0200"}, 10),
        ({"Retry-After": "Sun, 01 Mar 2020 12:00:00 GMT"}, 0),
        ({"Retry-After": "Sun, 01 Mar 2099 12:00:00 GMT"}, 60),
        ({"Retry-After": "Sun, 01 Mar 2026 99:99:99 GMT"}, 0),
        ({"Retry-After-Ms": "1500"}, 1.5),
        ({"Retry-After-Ms": "1500", "Retry-After": "9"}, 1.5),
        ({"Retry-After-Ms": "soon", "Retry-After": "9"}, 9),
        ({"Retry-After-Ms": "inf"}, 0),
        ({"Retry-After-Ms": "999999999"}, 60),
    ],
)
def test_the_server_may_ask_for_a_wait(headers: dict[str, str], seconds: float) -> None:
    """Milliseconds, seconds and dates are read. A value that can't be read is ignored."""
    assert retry_after(httpx.Headers(headers), NOW) == timedelta(seconds=seconds)
    error = failure(429, httpx.Headers(headers), NOW, to="Roark")
    assert error.retry_after == timedelta(seconds=seconds)


@given(
    st.one_of(
        st.text(),
        st.floats().map(str),
        st.lists(st.sampled_from(["Mon,", "31", "Feb", "2026", "99:99:99", "+9999", "-0000"])).map(
            " ".join
        ),
    )
)
def test_no_header_does_harm(value: str) -> None:
    """Whatever the headers contain, the wait is between nothing and a minute."""
    for name in ("retry-after", "retry-after-ms"):
        assert timedelta(0) <= retry_after({name: value}, NOW) <= timedelta(seconds=60)


def test_backoff_doubles_up_to_its_bound() -> None:
    """The bound of the random wait doubles with each try, and the wait may be nothing."""
    bounds: list[tuple[float, float]] = []

    def jitter(low: float, high: float) -> float:
        bounds.append((low, high))
        return low

    backoff = Backoff(jitter)
    for _ in range(2000):  # a day of outage: the bound must not overflow
        assert backoff(DeliveryError("")) == timedelta(0)
    assert bounds[:7] == [(0, WAIT_INITIAL * 2**n) for n in range(6)] + [(0, WAIT_MAX)]
    assert bounds[-1] == (0, WAIT_MAX)


def test_backoff_waits_at_least_as_asked() -> None:
    """The wait that a server asks for is a minimum: a longer random wait stays."""
    asked = DeliveryError("", retry_after=timedelta(seconds=0.2))
    assert Backoff(max)(asked) == timedelta(seconds=WAIT_INITIAL)
    assert Backoff(min)(asked) == timedelta(seconds=0.2)


def test_backoff_is_spread_over_the_whole_range() -> None:
    """Calls that failed at the same time do not retry at the same time."""
    random = Random(1)  # noqa: S311  # nothing secret
    waits = [Backoff(random.uniform)(DeliveryError("")) for _ in range(1000)]
    seconds = [wait.total_seconds() for wait in waits]
    assert len(set(seconds)) > 990
    assert 0 <= min(seconds) < 0.01 * WAIT_INITIAL
    assert 0.99 * WAIT_INITIAL < max(seconds) <= WAIT_INITIAL


@pytest.mark.parametrize("error", [DeliveryError("", retryable=False), ValueError()])
def test_what_never_works_is_not_retried(error: Exception) -> None:
    """A refusal, or an unexpected error, is not tried again."""
    assert is_retryable(error) is False
