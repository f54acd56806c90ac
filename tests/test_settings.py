"""The settings of an observer are checked when it is constructed."""

from __future__ import annotations

import uuid
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from pipecat_roark.delivery import client
from pipecat_roark.settings import Settings, call_id

if TYPE_CHECKING:
    from pathlib import Path

KEY = "rk-secret"
GIVEN: dict[str, Any] = {
    "agent_id": "front-desk",
    "api_key": KEY,
    "agent_name": None,
    "agent_prompt": None,
}


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Remove the variables that this machine may have set."""
    for name in ("ROARK_API_KEY", "ROARK_BASE_URL", "ROARK_SPOOL_DIR"):
        monkeypatch.delenv(name, raising=False)


def test_what_is_given_is_kept() -> None:
    """Every value is kept; id and key lose the white space around them."""
    settings = Settings.check(
        agent_id=" front-desk ",
        api_key=f"{KEY}\n",
        agent_name="Desk",
        agent_prompt="Be kind.",
        deadline_secs=2,
        max_waiting_bytes=0,
        max_process_waiting_bytes=1,
    )
    assert settings == Settings(
        agent_id="front-desk",
        api_key=KEY,
        base_url="https://api.roark.ai",
        agent_name="Desk",
        agent_prompt="Be kind.",
        deadline_secs=2,
        max_waiting_bytes=0,
        max_process_waiting_bytes=1,
    )


@pytest.mark.parametrize(
    ("change", "kind", "message"),
    [
        ({"agent_id": None}, TypeError, "agent_id must be a string, not NoneType"),
        ({"agent_id": 7}, TypeError, "agent_id must be a string, not int"),
        ({"agent_id": " "}, ValueError, "agent_id is missing: the id of your agent at Roark"),
        ({"api_key": None}, ValueError, "api_key is missing: pass it, or set ROARK_API_KEY"),
        ({"api_key": ""}, ValueError, "api_key is missing: pass it, or set ROARK_API_KEY"),
        ({"api_key": b"key"}, TypeError, "api_key must be a string, not bytes"),
        ({"api_key": f"{KEY}é"}, ValueError, "api_key must be printable ASCII"),
        ({"api_key": f"{KEY}\r\nx: y"}, ValueError, "api_key must be printable ASCII"),
        ({"agent_name": 7}, TypeError, "agent_name must be a string, not int"),
        ({"agent_prompt": ["Be kind."]}, TypeError, "agent_prompt must be a string, not list"),
        ({"deadline_secs": "10"}, TypeError, "deadline_secs must be a number, not str"),
        ({"deadline_secs": True}, TypeError, "deadline_secs must be a number, not bool"),
        ({"deadline_secs": 0}, ValueError, "deadline_secs must be more than 0"),
        ({"deadline_secs": -1.5}, ValueError, "deadline_secs must be more than 0"),
        ({"deadline_secs": float("inf")}, ValueError, "deadline_secs must be more than 0"),
        ({"redact": "card"}, TypeError, "redact must be a function, not str"),
        ({"consent_required": 1}, TypeError, "consent_required must be True or False, not int"),
        ({"capture": "audio"}, TypeError, "capture must be a set of words, not str"),
        ({"capture": None}, TypeError, "capture must be a set of words, not NoneType"),
        ({"capture": ["audio", "video"]}, ValueError, "capture must name some of audio, tools, "),
        ({"capture": []}, ValueError, "capture must name some of audio, tools, words"),
        ({"deadline_secs": float("nan")}, ValueError, "deadline_secs must be more than 0"),
        ({"max_waiting_bytes": None}, TypeError, "max_waiting_bytes must be an integer, not None"),
        ({"max_waiting_bytes": 1e6}, TypeError, "max_waiting_bytes must be an integer, not float"),
        ({"max_waiting_bytes": -1}, ValueError, "max_waiting_bytes must be 0 or more"),
        (
            {"max_process_waiting_bytes": -1},
            ValueError,
            "max_process_waiting_bytes must be 0 or more",
        ),
        ({"spool_dir": 7}, TypeError, "spool_dir must be a path, not int"),
        ({"spool_dir": __file__}, ValueError, "spool_dir must be a folder"),
    ],
)
def test_what_cannot_work_is_refused(
    change: dict[str, Any], kind: type[Exception], message: str
) -> None:
    """A mistake raises an error that says what to do and never shows the key."""
    with pytest.raises(kind, match=message) as caught:
        Settings.check(**{**GIVEN, **change})
    assert KEY not in str(caught.value)


def test_the_key_may_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """`ROARK_API_KEY` is used if no key is passed; an empty key is refused even then."""
    monkeypatch.setenv("ROARK_API_KEY", f" {KEY} ")
    assert Settings.check(**{**GIVEN, "api_key": None}).api_key == KEY
    with pytest.raises(ValueError, match="api_key is missing"):
        Settings.check(**{**GIVEN, "api_key": ""})


def test_the_spool_may_come_from_the_environment(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Without a folder there is no spool; its path stays valid when the process moves."""
    assert Settings.check(**GIVEN).spool_dir is None
    monkeypatch.setenv("ROARK_SPOOL_DIR", " ")
    assert Settings.check(**GIVEN).spool_dir is None
    monkeypatch.setenv("ROARK_SPOOL_DIR", str(tmp_path / "theirs"))
    assert Settings.check(**GIVEN).spool_dir == tmp_path / "theirs"
    assert Settings.check(**GIVEN, spool_dir=str(tmp_path)).spool_dir == tmp_path
    monkeypatch.chdir(tmp_path)
    assert Settings.check(**GIVEN, spool_dir="ours").spool_dir == tmp_path / "ours"


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("", "https://api.roark.ai"),
        (" ", "https://api.roark.ai"),
        ("https://roark.test/", "https://roark.test"),
        ("https://proxy.test:8443/roark", "https://proxy.test:8443/roark"),
        ("http://localhost:8080", "http://localhost:8080"),
        ("http://127.0.0.1:8080/", "http://127.0.0.1:8080"),
        ("http://[::1]:8080", "http://[::1]:8080"),
    ],
)
def test_the_base_url_may_come_from_the_environment(
    monkeypatch: pytest.MonkeyPatch, url: str, expected: str
) -> None:
    """`ROARK_BASE_URL` is used; plain HTTP is accepted only for this machine."""
    monkeypatch.setenv("ROARK_BASE_URL", url)
    assert Settings.check(**GIVEN).base_url == expected


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("http://api.roark.ai", "must use https: the API key would leave this machine"),
        ("http://localhost.evil.test", "must use https"),
        ("api.roark.ai", "must be a plain URL, such as https://api.roark.ai"),
        ("ftp://api.roark.ai", "must be a plain URL"),
        ("https://", "must be a plain URL"),
        ("https://[::1", "must be a plain URL"),
        ("https://api.roark.ai:port", "must be a plain URL"),
        ("https://api.roark.ai:99999", "must be a plain URL"),
        ("https://user:secret@api.roark.ai", "must be a plain URL"),
        ("https://api.roark.ai/?key=secret", "must be a plain URL"),
        ("https://api.roark.ai/#secret", "must be a plain URL"),
    ],
)
def test_a_base_url_that_cannot_work_is_refused(
    monkeypatch: pytest.MonkeyPatch, url: str, message: str
) -> None:
    """An invalid URL, or one that would expose the key, raises an error that names the variable."""
    monkeypatch.setenv("ROARK_BASE_URL", url)
    with pytest.raises(ValueError, match=f"ROARK_BASE_URL {message}") as caught:
        Settings.check(**GIVEN)
    assert "secret" not in str(caught.value)


def test_no_repr_shows_a_secret() -> None:
    """No `repr` contains the key or the prompt, so no log does."""
    settings = Settings.check(**{**GIVEN, "agent_prompt": "Our discount is secret."})
    connection = client.RoarkClient(settings.base_url, settings.api_key, "call-1")
    assert "front-desk" in repr(settings)
    assert "https://api.roark.ai" in repr(connection)
    assert "secret" not in f"{settings!r} {settings} {connection!r} {connection}"


WEBRTC = SimpleNamespace(pc_id="SmallWebRTCConnection#3-4711")


@pytest.mark.parametrize(
    ("runner_args", "expected"),
    [
        (SimpleNamespace(webrtc_connection=WEBRTC, session_id="s-1"), WEBRTC.pc_id),
        (SimpleNamespace(webrtc_connection=SimpleNamespace(), session_id="s-1"), "s-1"),
        (SimpleNamespace(webrtc_connection=None, session_id="s-1"), "s-1"),
        (SimpleNamespace(session_id=uuid.UUID(int=7)), str(uuid.UUID(int=7))),
        ({"webrtc_connection": WEBRTC, "session_id": "s-1"}, WEBRTC.pc_id),
        ({"webrtc_connection": {"pc_id": "pc-1"}}, "pc-1"),
        ({"webrtc_connection": {"pc_id": " "}, "session_id": "s-1"}, "s-1"),
    ],
)
def test_the_call_id_comes_from_the_runner(runner_args: object, expected: str) -> None:
    """The id is the peer connection's, or else the session's, from an object or a mapping."""
    assert call_id(None, runner_args) == expected
    assert call_id(" mine ", runner_args) == "mine"


@pytest.mark.parametrize("runner_args", [None, {}, SimpleNamespace(session_id=None), "args"])
def test_a_call_without_a_name_gets_a_random_one(runner_args: object) -> None:
    """Two calls without a name get different ids."""
    first, second = (uuid.UUID(call_id(None, runner_args)) for _ in range(2))
    assert first != second
    assert first.version == 4


@pytest.mark.parametrize(
    ("given", "kind", "message"),
    [
        (7, TypeError, "pipecat_call_id must be a string, not int"),
        ("", ValueError, "pipecat_call_id is missing: leave it out for a random one"),
    ],
)
def test_a_call_id_that_cannot_work_is_refused(
    given: Any, kind: type[Exception], message: str
) -> None:
    """An unusable id raises an error; it is not replaced without notice."""
    with pytest.raises(kind, match=message):
        call_id(given, None)


def test_a_spool_may_be_at_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No folder named `~` is made; where there is no home, that is said."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    assert Settings.check(**GIVEN, spool_dir="~/spool").spool_dir == tmp_path / "spool"
    monkeypatch.setenv("ROARK_SPOOL_DIR", "~/other")
    assert Settings.check(**GIVEN).spool_dir == tmp_path / "other"
    with pytest.raises(ValueError, match="this user's home is unknown"):
        Settings.check(**GIVEN, spool_dir="~nobody-of-this-name/spool")
