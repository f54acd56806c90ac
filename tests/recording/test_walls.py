"""What the modules of the recording import."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from pipecat_roark.recording import listener

FOLDER = Path(listener.__file__).parent
PURE = sorted(
    path.stem
    for path in FOLDER.glob("[a-z]*.py")
    if path.stem not in ("recorder", "external", "events")
)


@pytest.mark.parametrize("name", PURE)
def test_a_pure_module_imports_no_pipecat(name: str) -> None:
    """All but the recorders can be loaded alone, without Pipecat and without the network."""
    # `RoarkObserver` is exported by the package itself, which must not be loaded for this.
    script = (
        "import importlib.util, sys, types; "
        "spec = importlib.util.find_spec('pipecat_roark'); "
        "package = types.ModuleType('pipecat_roark'); "
        "package.__path__ = spec.submodule_search_locations; "
        "sys.modules['pipecat_roark'] = package; "
        f"importlib.import_module('pipecat_roark.recording.{name}'); "
        "print(*{module.partition('.')[0] for module in sys.modules})"
    )
    run = subprocess.run(  # noqa: S603  # our own interpreter and script
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    loaded = set(run.stdout.split())
    assert not loaded & {"pipecat", "httpx"}
    assert loaded & {"pipecat_roark"}
