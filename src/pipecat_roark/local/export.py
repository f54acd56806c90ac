"""A call as one HTML file: the page with everything in it, to be sent and opened anywhere."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import secrets
from typing import TYPE_CHECKING

from pipecat_roark.local.page import WEB
from pipecat_roark.local.store import REQUESTS_FILE
from pipecat_roark.local.view import as_text, detail
from pipecat_roark.local.waveform import Waveforms

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pipecat_roark.local.store import StoredCall

_POLICY = (
    "default-src 'none'; script-src {hashes}; style-src 'nonce-{nonce}'; img-src data:; "
    "media-src blob:; base-uri 'none'; form-action 'none'"
)
_PIECE_BYTES = 3 * 256 * 1024  # a multiple of three, so that base64 has no padding within


def export(call: StoredCall, path: Path) -> None:
    """Write a call with its audio into one file, which needs no server and loads nothing.

    Args:
        call: The call. Without a recording, the file has no audio.
        path: The file to write.
    """
    with path.open("w", encoding="utf-8") as file:
        file.writelines(_pieces(call))


def _pieces(call: StoredCall) -> Iterator[str]:
    html = (WEB / "index.html").read_text(encoding="utf-8")
    sources = re.findall(r'<script defer src="(.+?)"></script>\n', html)
    html = re.sub(r"<script .*?</script>\n", "", html)
    scripts = [_read(source).replace("</script", r"<\/script") for source in sources]
    nonce = secrets.token_urlsafe()
    hashes = " ".join(f"'sha256-{_digest(script)}'" for script in scripts)
    policy = _POLICY.format(hashes=hashes, nonce=nonce)
    icon = base64.b64encode(_read("web/icon.svg").encode()).decode()
    for old, new in {
        '<meta charset="utf-8">': '<meta charset="utf-8">\n'
        f'<meta http-equiv="content-security-policy" content="{policy}">',
        'href="web/icon.svg"': f'href="data:image/svg+xml;base64,{icon}"',
        '<link rel="stylesheet" href="web/app.css">': f'<style nonce="{nonce}">\n'
        f"{_read('web/app.css')}</style>",
        "{nonce}": nonce,
    }.items():
        html = html.replace(old, new)
    head, _, tail = html.partition("</body>")
    yield head
    yield f'<script type="application/json" id="saved-call">{_data(call)}</script>\n'
    if call.recording is not None:
        yield '<script type="text/plain" id="saved-audio">'
        yield from _base64(call.recording)
        yield "</script>\n"
    yield from (f"<script>{script}</script>\n" for script in scripts)
    yield f"</body>{tail}"


def _read(source: str) -> str:
    return (WEB.parent / source).read_text(encoding="utf-8")


def _digest(script: str) -> str:
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()


def _data(call: StoredCall) -> str:
    """Return what the page shows, in a form that no text in it can leave."""
    log = call.folder / REQUESTS_FILE
    shown = detail(call, Waveforms().read(call), is_live=False)
    shown["requests"] = log.read_text(encoding="utf-8") if log.is_file() else ""
    return json.dumps(shown, default=as_text).replace("<", r"\u003c")


def _base64(recording: Path) -> Iterator[str]:
    with recording.open("rb") as file:
        while piece := file.read(_PIECE_BYTES):
            yield base64.b64encode(piece).decode()
