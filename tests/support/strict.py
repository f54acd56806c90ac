"""A strict parser of JSON."""

from __future__ import annotations

import json
from typing import Any


def strict(raw: bytes | str) -> Any:
    """Parse JSON by the standard alone: UTF-8, each name once, no NaN, no lone surrogate."""

    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        assert len(dict(pairs)) == len(pairs)
        return dict(pairs)

    text = raw.decode() if isinstance(raw, bytes) else raw
    value = json.loads(text, parse_constant=refuse, object_pairs_hook=once)
    json.dumps(value, ensure_ascii=False).encode()
    return value
