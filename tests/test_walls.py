"""The walls between the rooms: what each module of the library may import.

Names of the library's own modules are written with a leading dot, as in a relative import. A name
covers everything below it: `.recording` covers each module of that room.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from functools import cache
from importlib.util import resolve_name
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

PACKAGE = Path(__file__).parents[1] / "src" / "pipecat_roark"

GROUND = (
    ".moments",
    ".plain",
    ".guard",
    ".report",
    ".summary",
    ".receipt",
    ".settings",
    ".wire",
    ".spans",
    ".silence",
    ".channel",
    ".budget",
    ".findings",
)
PIPECAT_SHELLS = (".recording.recorder", ".recording.external", ".recording.events")


class Import(NamedTuple):
    """One name that a module imports.

    Attributes:
        by: The module.
        name: What it imports, down to the name after `import`: `.moments.Edge`, `httpx`.
        typing: Whether only a type checker imports it.
    """

    by: str
    name: str
    typing: bool = False


class Inside(NamedTuple):
    """Modules that import only some parts of the library, whatever else they import."""

    modules: tuple[str, ...]
    may_import: tuple[str, ...]
    because: str

    def broken_by(self, one: Import) -> bool:
        """Return whether an import breaks this rule."""
        return (
            _is_in(one.by, *self.modules)
            and one.name.startswith(".")
            and not _is_in(one.name, *self.may_import)
        )


class Outside(NamedTuple):
    """Names that only some modules import."""

    names: tuple[str, ...]
    imported_by: tuple[str, ...]
    because: str
    except_for: tuple[str, ...] = ()
    """Names below `names` that every module may import."""
    typed_by: tuple[str, ...] = ()
    """Modules that may import them for type checking."""

    def broken_by(self, one: Import) -> bool:
        """Return whether an import breaks this rule."""
        allowed = self.imported_by + (self.typed_by if one.typing else ())
        return (
            _is_in(one.name, *self.names)
            and not _is_in(one.name, *self.except_for)
            and not _is_in(one.by, *allowed)
        )


Rule: TypeAlias = "Inside | Outside"

RULES: dict[str, Rule] = {
    # What each room may import of the library.
    "ground": Inside(
        GROUND, GROUND, "every room builds on the ground, so the ground needs no room"
    ),
    "conversation": Inside(
        (".conversation",),
        (".conversation", *GROUND),
        "it needs events and nothing else, so tests just call it",
    ),
    "recording": Inside(
        (".recording",),
        (".recording", ".compat", *GROUND),
        "its listener decides what happens to the audio",
    ),
    "spool": Inside(
        (".spool",), (".spool", *GROUND), "delivery uses the spool, and the spool doesn't need it"
    ),
    "delivery": Inside(
        (".delivery",),
        (".delivery", ".spool", *GROUND),
        "it sends bytes and doesn't need their meaning",
    ),
    "privacy": Inside(
        (".privacy",),
        (".privacy", *GROUND),
        "it decides about plain values, wherever they come from and go to",
    ),
    "local": Inside(
        (".local",),
        (".local", ".findings"),
        "it is a second opinion on what the library sends; what it finds in the wiring is not sent",
    ),
    # Which modules of a room others may import.
    "doors of conversation": Outside(
        (".conversation",),
        (".conversation",),
        "others use the state; the table of frames also names its verbs and their words",
        except_for=(
            ".conversation.state",
            ".conversation.turns.Conversation",
            ".conversation.text.SpokenText",
        ),
    ),
    "doors of recording": Outside(
        (".recording",),
        (".recording",),
        "others use a recorder or listen to one",
        except_for=(".recording.recorder", ".recording.external", ".recording.listener"),
    ),
    "doors of delivery": Outside(
        (".delivery",),
        (".delivery",),
        "others deliver a call now or recover it later",
        except_for=(
            *(".delivery.delivery", ".delivery.client", ".delivery.recovery"),
            *(".delivery.discarded", ".delivery.drain"),
        ),
    ),
    "door of privacy": Outside(
        (".privacy",), (".privacy", ".gate"), "only the gate decides what may leave"
    ),
    "doors of spool": Outside(
        (".spool",),
        (".spool",),
        "a call writes to the spool; delivery and the command read it",
        except_for=(
            *(".spool.spool", ".spool.writer", ".spool.folder", ".spool.journal"),
            *(".spool.owner", ".spool.tail"),
        ),
    ),
    "journal of spool": Outside(
        (".spool.journal",),
        (".spool", ".delivery", ".cli"),
        "only who reads a spool needs its format",
    ),
    "door of local": Outside((".local",), (".local", ".cli"), "a bot needs no local server"),
    # Who may import a library.
    "pipecat": Outside(
        ("pipecat",),
        (
            *(".observer", ".watcher", ".outputs", ".frames", ".latency_frames", ".compat"),
            *PIPECAT_SHELLS,
        ),
        "only these modules must follow the changes of Pipecat",
        typed_by=(".recording.listener", ".sighting", ".synthesis", ".tool_frames", ".clocks"),
    ),
    "httpx": Outside(("httpx", "anyio"), (".delivery.connections",), "one module sends requests"),
    "retry": Outside(("stamina", "tenacity"), (".delivery",), "one room retries"),
    "locks": Outside(("filelock", "fcntl"), (".spool",), "one room locks files"),
    "audio": Outside(
        ("numpy", "soxr"),
        (".recording", ".local.peaks"),
        "one room computes with samples; the local server's peaks of two hours must be cheap, too",
    ),
    "server": Outside(("aiohttp", "yarl"), (".local",), "a bot needs no server"),
    "spans": Outside(("opentelemetry",), (".tracing",), "one module makes spans"),
}
FREE_LIBRARIES = ("loguru", "typing_extensions")


def _is_in(name: str, *parts: str) -> bool:
    """Return whether a name is one of the parts, or below one."""
    return any(name == part or name.startswith(f"{part}.") for part in parts)


def _short(name: str) -> str:
    """Write a name of the library with a leading dot; leave any other as it is."""
    root = PACKAGE.name
    return name[len(root) :] or "." if _is_in(name, root) else name


def _imports(module: str, source: str, *, is_package: bool = False) -> Iterator[Import]:
    """Yield every import of a module's source, wherever it stands."""
    tree = ast.parse(source)
    typing = {
        inner
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING")
        for statement in node.body
        for inner in ast.walk(statement)
    }
    package = module if is_package else module.rpartition(".")[0]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            origin = resolve_name("." * node.level + (node.module or ""), package)
            names = [f"{origin}.{alias.name}" for alias in node.names]
        else:
            continue
        yield from (Import(_short(module), _short(name), node in typing) for name in names)


def _modules() -> dict[str, Path]:
    """Return each module of the library by its name."""
    paths = {path.relative_to(PACKAGE.parent): path for path in sorted(PACKAGE.rglob("*.py"))}
    return {
        ".".join(relative.with_suffix("").parts).removesuffix(".__init__"): path
        for relative, path in paths.items()
    }


@cache
def _library() -> list[Import]:
    """Return every import of the library."""
    return [
        one
        for module, path in _modules().items()
        for one in _imports(module, path.read_text(), is_package=path.name == "__init__.py")
    ]


def _broken(imports: Iterable[Import]) -> set[str]:
    """Return the names of the rules that imports break."""
    return {name for one in imports for name, rule in RULES.items() if rule.broken_by(one)}


@pytest.mark.parametrize("name", RULES)
def test_library_keeps_the_rule(name: str) -> None:
    """No import of the library breaks a rule."""
    rule = RULES[name]
    found = [f"{one.by} imports {one.name}" for one in _library() if rule.broken_by(one)]
    assert not found, rule.because


def test_rules_name_what_exists() -> None:
    """Each room and the whole ground have a rule, and no rule names a module that is gone."""
    modules = {_short(module) for module in _modules()}
    rooms = {f".{path.parent.name}" for path in PACKAGE.glob("*/__init__.py")}
    inside = [rule for rule in RULES.values() if isinstance(rule, Inside)]
    assert {module for rule in inside for module in rule.modules} == {*GROUND, *rooms}
    texts = {
        name for rule in RULES.values() for part in rule if part != rule.because for name in part
    }
    named = {re.sub(r"\.[A-Z]\w*$", "", name) for name in texts if name.startswith(".")}
    assert named <= modules


def test_every_library_has_a_rule() -> None:
    """A third-party library is used by one room, or stands among those that are free for all."""
    ruled = [name for rule in RULES.values() if isinstance(rule, Outside) for name in rule.names]
    roots = {one.name.partition(".")[0] for one in _library() if not one.name.startswith(".")}
    strangers = roots - sys.stdlib_module_names - {*ruled, *FREE_LIBRARIES}
    assert not strangers


BREACHES = [
    ("moments", "from pipecat_roark.call import Call", "ground"),
    ("wire", "def f():\n    import pipecat_roark.delivery.delivery", "ground"),
    ("conversation.turns", "from pipecat_roark import frames", "conversation"),
    ("conversation.state", "from pipecat_roark.recording import recorder", "conversation"),
    ("conversation.state", "from ..recording import recorder", "conversation"),
    ("conversation.state", "from ..spool.writer import SpoolWriter", "conversation"),
    ("recording.recorder", "from pipecat_roark.delivery.delivery import X", "recording"),
    ("recording.track", "from pipecat_roark.conversation.state import X", "recording"),
    ("recording", "from pipecat_roark import observer", "recording"),
    ("spool.writer", "from pipecat_roark.delivery import client", "spool"),
    ("delivery.delivery", "from pipecat_roark.recording.recorder import X", "delivery"),
    ("delivery.delivery", "from pipecat_roark.conversation.state import X", "delivery"),
    ("privacy.masks", "from pipecat_roark.delivery.delivery import CHUNK_BYTES", "privacy"),
    ("call", "from pipecat_roark.privacy.masks import PAUSED", "door of privacy"),
    ("local.contract", "from pipecat_roark import wire", "local"),
    ("local.contract", "from pipecat_roark.moments import SECOND", "local"),
    ("call", "from pipecat_roark.conversation import inbox", "doors of conversation"),
    ("frames", "from pipecat_roark.conversation.turns import Turn", "doors of conversation"),
    ("frames", "from pipecat_roark.conversation import turns", "doors of conversation"),
    ("call", "import pipecat_roark.recording.timeline", "doors of recording"),
    ("observer", "from pipecat_roark.recording.track import Track", "doors of recording"),
    ("cli", "from pipecat_roark.delivery.retry import Backoff", "doors of delivery"),
    ("call", "from pipecat_roark.delivery import *", "doors of delivery"),
    ("call", "from pipecat_roark.spool import lock", "doors of spool"),
    ("call", "import pipecat_roark.spool.journal", "journal of spool"),
    ("observer", "from pipecat_roark.local import LocalRoark", "door of local"),
    ("call", "from pipecat.frames.frames import Frame", "pipecat"),
    ("recording.listener", "import pipecat", "pipecat"),
    ("settings", "if TYPE_CHECKING:\n    from pipecat.frames import frames", "pipecat"),
    ("delivery.recovery", "import httpx", "httpx"),
    ("observer", "from httpx._client import AsyncClient", "httpx"),
    ("call", "import stamina", "retry"),
    ("delivery.delivery", "import fcntl", "locks"),
    ("conversation.state", "def f():\n    import numpy as np", "audio"),
    ("delivery.delivery", "class A:\n    from soxr import resample", "audio"),
    ("delivery.client", "import aiohttp.web", "server"),
    ("call", "def f():\n    from opentelemetry import trace", "spans"),
    ("local.waveform", "import numpy", "audio"),
]
"""A module, its source, and the one rule that it breaks."""


@pytest.mark.parametrize(("module", "source", "rule"), BREACHES)
def test_a_breach_is_found(module: str, source: str, rule: str) -> None:
    """An import that breaks a rule is found wherever it stands, and breaks no other rule."""
    assert _broken(_imports(f"pipecat_roark.{module}", source)) == {rule}


def test_each_rule_can_be_broken() -> None:
    """Each rule is broken by one of the sources."""
    assert {rule for *_, rule in BREACHES} == set(RULES)


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("wire", "from pipecat_roark.plain import encode"),
        ("conversation.state", "from .turns import Conversation"),
        ("frames", "from pipecat_roark.conversation.turns import Conversation"),
        ("call", "from pipecat_roark.delivery import recovery"),
        ("delivery.recovery", "from pipecat_roark.spool import journal"),
        ("cli", "def f():\n    from pipecat_roark.local import LocalRoark"),
        ("recording.listener", "if TYPE_CHECKING:\n    from pipecat.frames import frames"),
        ("recording.recorder", "import pipecat, numpy"),
        ("local.checkup", "from pipecat_roark.findings import examine"),
        ("spool.writer", "from loguru import logger; import pipecatalog, httpx_sse"),
    ],
)
def test_what_is_allowed_is_no_breach(module: str, source: str) -> None:
    """An import that keeps the rules is not reported."""
    assert not _broken(_imports(f"pipecat_roark.{module}", source))


def test_a_package_imports_relatively_from_itself() -> None:
    """A dot means the same package in its own file and in its modules."""
    for module, is_package in (
        ("pipecat_roark.spool", True),
        ("pipecat_roark.spool.folder", False),
    ):
        (one,) = _imports(module, "from . import journal", is_package=is_package)
        assert one.name == ".spool.journal"


IMPURE = (
    *PIPECAT_SHELLS,
    *(".observer", ".watcher", ".frames", ".tool_frames", ".latency_frames", ".sighting"),
    *(".synthesis", ".outputs", ".compat"),
    *(".call", ".cli", ".gate"),
    ".delivery.connections",
)
"""Modules whose import loads Pipecat or httpx."""
IMPORT_EACH = """
import importlib, sys
for name in sys.argv[1:]:
    importlib.import_module(name)
    if loaded := {"pipecat", "httpx"} & {*sys.modules}:
        sys.exit(f"{name} loads {', '.join(loaded)}")
"""


@pytest.mark.process
def test_pure_modules_load_neither_pipecat_nor_httpx() -> None:
    """A pure module loads fast, and its tests need no pipeline."""
    pure = [name for name in _modules() if not _is_in(_short(name), *IMPURE)]
    command = [sys.executable, "-c", IMPORT_EACH, *pure]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    assert (ran.returncode, ran.stderr) == (0, "")
