"""The file of a call's tail.

Its name says which chunk the tail will be part of, and how much at its front is in chunks already:
`000012-262144.ends` is the tail whose first 262144 bytes became chunk 11. The next record begins a
new file, `000012.ends`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipecat_roark.spool import tail
from pipecat_roark.spool.files import GrowingFile

if TYPE_CHECKING:
    from pathlib import Path

_KIND = ".ends"
_INTERLEAVED = ".tail"
"""The kind of a tail of release 0.3.0, which is plain audio."""


class TailFile:
    """The tail of a call that is being captured.

    Args:
        folder: The folder of the call.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._file: GrowingFile | None = None
        self._cut: Path | None = None
        self._cut_bytes = 0

    def append(self, index: int, records: bytes) -> None:
        """Append records to the tail that will be part of the chunk at `index`.

        Raises:
            OSError: Then nothing is left of the tail.
        """
        if self._file is None:
            self._file = GrowingFile(self._folder / f"{index:06d}{_KIND}")
        try:
            self._file.append(records)
        except OSError:
            self.remove()
            raise
        self._remove_cut()

    def cut(self, index: int, size: int) -> None:
        """Note that the next bytes at the front are in the chunk at `index`."""
        if self._file is not None:
            self._file.close()
            self._cut, self._file = self._file.path, None
        if self._cut is not None:
            self._cut_bytes += size
            path = self._folder / f"{index + 1:06d}-{self._cut_bytes}{_KIND}"
            self._cut = self._cut.replace(path)

    def remove(self) -> None:
        """Remove the tail."""
        if self._file is not None:
            self._file.close()
            self._file.path.unlink(missing_ok=True)
            self._file = None
        self._remove_cut()

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()

    def _remove_cut(self) -> None:
        if self._cut is not None:
            self._cut.unlink(missing_ok=True)
            self._cut, self._cut_bytes = None, 0


def tails_in(folder: Path) -> list[Path]:
    """Return the files of tails in the folder of a call, the latest at the end."""
    return sorted(path for path in folder.iterdir() if path.suffix in {_KIND, _INTERLEAVED})


def read_tail(file: Path) -> tuple[int, bytes]:
    """Return which chunk a tail will be part of, and its audio, interleaved."""
    index, _, cut = file.stem.partition("-")
    data = file.read_bytes()
    audio = data if file.suffix == _INTERLEAVED else tail.replay(data)
    return int(index), audio[int(cut or 0) :]
