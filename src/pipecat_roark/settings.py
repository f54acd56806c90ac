"""The options of an observer, checked at construction, so that no call begins with a bad one."""

from __future__ import annotations

import math
import os
import uuid
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from pipecat_roark.report import ToolCall, Turn

API_KEY_VARIABLE = "ROARK_API_KEY"
BASE_URL_VARIABLE = "ROARK_BASE_URL"
SPOOL_DIR_VARIABLE = "ROARK_SPOOL_DIR"

BASE_URL = "https://api.roark.ai"
DEADLINE_SECS = 10.0
"""For everything that is left to deliver when the call ends."""
MAX_WAITING_BYTES = 64 * 1024 * 1024
"""Audio that may wait for the API: eleven minutes of stereo at 24 kHz."""
MAX_PROCESS_WAITING_BYTES = 256 * 1024 * 1024
"""The same for all calls of a process: 46 minutes of stereo at 24 kHz."""

CAPTURE = frozenset({"audio", "words", "tools"})
"""The kinds of content: the recording, the transcript, and the tool calls."""
Redact: TypeAlias = Callable[
    ["Turn | ToolCall"], "Turn | ToolCall | Awaitable[Turn | ToolCall | None] | None"
]
"""Returns what may be seen of a turn or a tool call; None if nothing of it may."""

_LOOPBACK = {"localhost", "127.0.0.1", "::1"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The checked options of one call.

    Attributes:
        agent_id: The agent's id at Roark.
        api_key: The key; not part of the `repr`.
        base_url: Where Roark is.
        agent_name: The agent's name, if given.
        agent_prompt: The agent's prompt, if given; not part of the `repr`.
        deadline_secs: Bound on the ending, in seconds.
        max_waiting_bytes: Bound on the audio that waits in memory.
        max_process_waiting_bytes: Bound on the audio that all calls of the process have waiting.
        spool_dir: Folder where calls are kept on disk; None keeps none.
        redact: Decides what of each turn and tool call may be seen; None lets all of it pass.
        consent_required: Whether nothing may leave until somebody consents.
        capture: The kinds of content that are captured.
    """

    agent_id: str
    api_key: str = field(repr=False)
    base_url: str
    agent_name: str | None = None
    agent_prompt: str | None = field(default=None, repr=False)
    deadline_secs: float = DEADLINE_SECS
    max_waiting_bytes: int = MAX_WAITING_BYTES
    max_process_waiting_bytes: int = MAX_PROCESS_WAITING_BYTES
    spool_dir: Path | None = None
    redact: Redact | None = None
    consent_required: bool = False
    capture: frozenset[str] = CAPTURE

    @classmethod
    def check(  # noqa: PLR0913  # keyword-only, each with a default but the first two
        cls,
        *,
        agent_id: str,
        api_key: str | None,
        agent_name: str | None = None,
        agent_prompt: str | None = None,
        deadline_secs: float = DEADLINE_SECS,
        max_waiting_bytes: int = MAX_WAITING_BYTES,
        max_process_waiting_bytes: int = MAX_PROCESS_WAITING_BYTES,
        spool_dir: str | os.PathLike[str] | None = None,
        redact: Redact | None = None,
        consent_required: bool = False,
        capture: Iterable[str] = CAPTURE,
    ) -> Settings:
        """Return checked settings.

        Raises:
            TypeError: If a value has the wrong type.
            ValueError: If the key is missing or unusable, the agent id empty, the base URL of the
                environment unusable, or a bound out of range.
        """
        agent_id = _text("agent_id", agent_id, hint="the id of your agent at Roark")
        if api_key is None:
            api_key = os.environ.get(API_KEY_VARIABLE, "")
        key = _text("api_key", api_key, hint=f"pass it, or set {API_KEY_VARIABLE}")
        if not key.isascii() or not key.isprintable():
            raise ValueError("api_key must be printable ASCII: it is sent as a header")
        for name, value in (("agent_name", agent_name), ("agent_prompt", agent_prompt)):
            if value is not None and not isinstance(value, str):
                raise TypeError(f"{name} must be a string, not {type(value).__name__}")
        return cls(
            agent_id=agent_id,
            api_key=key,
            base_url=base_url(),
            agent_name=agent_name,
            agent_prompt=agent_prompt,
            deadline_secs=_deadline(deadline_secs),
            max_waiting_bytes=_bound("max_waiting_bytes", max_waiting_bytes),
            max_process_waiting_bytes=_bound(
                "max_process_waiting_bytes", max_process_waiting_bytes
            ),
            spool_dir=_folder(spool_dir),
            redact=_function(redact),
            consent_required=_switch(consent_required),
            capture=_kinds(capture),
        )


def base_url() -> str:
    """Return the base URL of the environment, by default Roark's own.

    Raises:
        ValueError: If it is no HTTP URL, or if the key would leave this machine in clear text.
    """
    url = os.environ.get(BASE_URL_VARIABLE, "").strip().rstrip("/") or BASE_URL
    try:
        parts = urlsplit(url)
        usable = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0
    except ValueError:  # of an unreadable host or port
        usable = False
    if not usable or parts.username is not None or parts.query or parts.fragment:
        raise ValueError(f"{BASE_URL_VARIABLE} must be a plain URL, such as {BASE_URL}")
    if parts.scheme == "http" and parts.hostname not in _LOOPBACK:
        raise ValueError(
            f"{BASE_URL_VARIABLE} must use https: the API key would leave this machine unprotected"
        )
    return url


def call_id(pipecat_call_id: str | None, runner_args: object) -> str:
    """Return the call's identity.

    Args:
        pipecat_call_id: The caller's choice, which takes precedence over everything else.
        runner_args: What Pipecat's runner hands to a bot, as an object or a mapping: the peer
            connection's `pc_id` of SmallWebRTC, else `session_id` (Pipecat Cloud).

    Returns:
        The identity; a random UUID if nothing gives one.

    Raises:
        TypeError: If `pipecat_call_id` isn't a string.
        ValueError: If it is empty.
    """
    if pipecat_call_id is not None:
        return _text("pipecat_call_id", pipecat_call_id, hint="leave it out for a random one")
    connection = _get(runner_args, "webrtc_connection")
    for candidate in (_get(connection, "pc_id"), _get(runner_args, "session_id")):
        if candidate is not None and str(candidate).strip():
            return str(candidate)
    return str(uuid.uuid4())


def _text(name: str, value: str, *, hint: str) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{name} must be a string, not {type(value).__name__}")
    if not value.strip():
        raise ValueError(f"{name} is missing: {hint}")
    return value.strip()


def _folder(spool_dir: object) -> Path | None:
    if spool_dir is None:
        spool_dir = os.environ.get(SPOOL_DIR_VARIABLE, "").strip() or None
        if spool_dir is None:
            return None
    if not isinstance(spool_dir, (str, os.PathLike)):
        raise TypeError(f"spool_dir must be a path, not {type(spool_dir).__name__}")
    try:
        path = Path(spool_dir).expanduser().absolute()
    except RuntimeError:
        raise ValueError("spool_dir starts with ~, and this user's home is unknown") from None
    if path.exists() and not path.is_dir():
        raise ValueError("spool_dir must be a folder")
    return path


def _function(redact: object) -> Redact | None:
    if redact is not None and not callable(redact):
        raise TypeError(f"redact must be a function, not {type(redact).__name__}")
    return redact


def _switch(required: object) -> bool:
    if not isinstance(required, bool):
        raise TypeError(f"consent_required must be True or False, not {type(required).__name__}")
    return required


def _kinds(capture: object) -> frozenset[str]:
    if isinstance(capture, str) or not isinstance(capture, Iterable):
        raise TypeError(f"capture must be a set of words, not {type(capture).__name__}")
    kinds = frozenset(capture)
    if not kinds or not kinds <= CAPTURE:
        raise ValueError(f"capture must name some of {', '.join(sorted(CAPTURE))}")
    return kinds


def _deadline(secs: object) -> float:
    if not isinstance(secs, (int, float)) or isinstance(secs, bool):
        raise TypeError(f"deadline_secs must be a number, not {type(secs).__name__}")
    if not 0 < secs < math.inf:
        raise ValueError("deadline_secs must be more than 0, and finite")
    return secs


def _bound(name: str, size: object) -> int:
    if not isinstance(size, int) or isinstance(size, bool):
        raise TypeError(f"{name} must be an integer, not {type(size).__name__}")
    if size < 0:
        raise ValueError(f"{name} must be 0 or more")
    return size


def _get(holder: object, name: str) -> object:
    if isinstance(holder, Mapping):
        return holder.get(name)
    return getattr(holder, name, None)
