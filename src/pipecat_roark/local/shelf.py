"""All calls in a folder: those that are running, and those of earlier runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipecat_roark.local.store import read_call, stored_folders
from pipecat_roark.local.view import summary

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path
    from typing import Any

    from pipecat_roark.local.store import StoredCall


class Shelf:
    """Finds calls by the names of their folders.

    Args:
        folder: Where each call has a folder of its own.
        present: Returns the calls of this run.
    """

    def __init__(self, folder: Path, present: Callable[[], Mapping[str, StoredCall]]) -> None:
        self._folder = folder
        self._present = present
        self._known: dict[Path, tuple[int, dict[str, Any]]] = {}
        """The summary of each call of earlier runs, with the time at which its file changed."""

    def find(self, name: str) -> tuple[StoredCall, bool] | None:
        """Return the call with a name and whether it is running, or None if there is none."""
        present = {call.folder.name: call for call in self._present().values()}
        if name in present:
            return present[name], present[name].ended is None
        folders = {folder.name: folder for folder in stored_folders(self._folder)}
        call = read_call(folders[name]) if name in folders else None
        return None if call is None else (call, False)

    def summaries(self) -> list[dict[str, Any]]:
        """Describe all calls, the running ones first, then the latest ones. This reads files."""
        present = [(call, call.ended is None) for call in self._present().values()]
        rows = [summary(call, is_live=is_live) for call, is_live in present]
        here = {call.folder for call, _ in present}
        for folder in stored_folders(self._folder):
            if folder not in here:
                rows += self._earlier(folder)
        rows.sort(key=lambda row: (row["state"] == "live", row["started_at"] or ""), reverse=True)
        return rows

    def _earlier(self, folder: Path) -> list[dict[str, Any]]:
        """Return the summary of a call of an earlier run, or nothing if it can't be read."""
        try:
            changed = (folder / "call.json").stat().st_mtime_ns
        except OSError:
            return []
        if self._known.get(folder, (0, {}))[0] != changed:
            call = read_call(folder)
            self._known[folder] = (changed, summary(call, is_live=False) if call else {})
        row = self._known[folder][1]
        return [row] if row else []
