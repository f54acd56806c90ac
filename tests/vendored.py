"""Fetches the JavaScript that other people wrote from npm, in the versions of `vendored.json`.

To take another version, change it there and run this script. It needs npm:

    uv run tests/vendored.py
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import tarfile
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).parents[1]
TABLE = Path(__file__).with_suffix(".json")


def rows() -> list[dict[str, str]]:
    """Return each file with its package, its version, its licence and its SHA-256."""
    table: list[dict[str, str]] = json.loads(TABLE.read_text(encoding="utf-8"))
    return table


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _pack(package: str, version: str, folder: str) -> Path:
    """Let npm fetch a package, and return its archive."""
    command = ["npm", "pack", "--silent", f"{package}@{version}"]
    ran = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)  # noqa: S603
    return Path(folder) / ran.stdout.strip()


def main() -> None:
    """Fetch every file, and write its SHA-256 into the table."""
    table = rows()
    with TemporaryDirectory() as folder:
        packages = {(row["package"], row["version"]) for row in table}
        archives = {key: _pack(*key, folder) for key in packages}
        for row in table:
            with tarfile.open(archives[row["package"], row["version"]]) as archive:
                member = archive.extractfile(f"package/{row['from']}")
                if member is None:
                    raise SystemExit(f"{row['package']} has no {row['from']}")
                path = ROOT / row["to"]
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(member.read())
            row["sha256"] = sha256(path)
    lines = ",\n".join(f"  {json.dumps(row)}" for row in table)
    TABLE.write_text(f"[\n{lines}\n]\n", encoding="utf-8")


if __name__ == "__main__":
    main()
