"""The names that users may import, and that nothing shown to them needs another."""

from __future__ import annotations

import ast
import inspect
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import pipecat_roark
import pipecat_roark.local

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

ROOT = Path(__file__).parents[2]
PUBLIC = {module.__name__: {*module.__all__} for module in (pipecat_roark, pipecat_roark.local)}
NOT_FOR_USERS = {"cleanup", "observe_every_push", "on_pipeline_started", "on_push_frame"}
"""What only Pipecat asks of the observer."""
USES = (Path(__file__).parent / "public_api.py").read_text()


def _private(source: str) -> Iterator[str]:
    """Yield what a source imports of the library that is not public."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (
                alias.name
                for alias in node.names
                if _is_ours(alias.name) and alias.name not in PUBLIC
            )
        elif isinstance(node, ast.ImportFrom) and _is_ours(node.module or ""):
            names = {alias.name for alias in node.names}
            yield from (
                f"{node.module}.{name}" for name in names - PUBLIC.get(node.module or "", set())
            )


def _is_ours(module: str) -> bool:
    return module.partition(".")[0] == "pipecat_roark"


@pytest.mark.parametrize("module", [pipecat_roark, pipecat_roark.local])
def test_exports_are_the_public_names(module: ModuleType) -> None:
    """What a star import brings, what `dir()` shows and what is documented are the same names."""
    names: dict[str, object] = {}
    exec(f"from {module.__name__} import *", names)  # noqa: S102  # no other way within a function
    assert {*names} - {"__builtins__"} == PUBLIC[module.__name__]
    assert PUBLIC[module.__name__] <= {*dir(module)}
    assert all(getattr(module, name) is value for name, value in names.items() if name[0] != "_")
    with pytest.raises(AttributeError, match=f"'{module.__name__}' has no attribute 'Roark'"):
        module.Roark  # noqa: B018


def test_whole_public_api_is_type_checked() -> None:
    """Each public name, argument, attribute and field is used in the type-checked file."""
    used = {*re.findall(r"\w+", USES)}
    for module in (pipecat_roark, pipecat_roark.local):
        for name in module.__all__:
            value = getattr(module, name)
            parts = {name}
            if isinstance(value, type):
                parts |= {*inspect.signature(value).parameters, *vars(value)}
            unused = {part for part in parts - used - NOT_FOR_USERS if not part.startswith("_")}
            assert not unused, name


@pytest.mark.parametrize(
    "path", sorted((ROOT / "examples").rglob("*.py")), ids=lambda path: path.name
)
def test_examples_import_only_public_names(path: Path) -> None:
    """Whoever copies an example depends on nothing that may change without notice."""
    assert not [*_private(path.read_text())]


def test_readme_imports_only_public_names() -> None:
    """No snippet of the README shows a private name."""
    snippets = re.findall(
        r"^```python\n(.*?)^```$", (ROOT / "README.md").read_text(), re.MULTILINE | re.DOTALL
    )
    assert any("pipecat_roark" in snippet for snippet in snippets)
    assert not [name for snippet in snippets for name in _private(snippet)]


@pytest.mark.parametrize(
    ("source", "private"),
    [
        ("import pipecat_roark.wire", ["pipecat_roark.wire"]),
        ("from pipecat_roark import wire", ["pipecat_roark.wire"]),
        (
            "from pipecat_roark.local.store import StoredCall",
            ["pipecat_roark.local.store.StoredCall"],
        ),
        ("from pipecat_roark.local import LocalRoark; import pipecat_roark, pipecat.frames", []),
    ],
)
def test_a_private_name_is_found(source: str, private: list[str]) -> None:
    """An import of a private module or name is found, one of a public name is not."""
    assert [*_private(source)] == private
