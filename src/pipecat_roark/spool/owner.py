"""The owner: to whom a call in the spool belongs, without a word about the key.

Pure.
"""

from __future__ import annotations

import hashlib
import hmac
from urllib.parse import urlsplit

_DIGITS = 32


def fingerprint(api_key: str, base_url: str) -> str:
    """Return what ties a call to an API key and a base URL.

    Nobody learns the key from it, and only who has both can make it.
    """
    parts = urlsplit(base_url)
    place = f"{parts.scheme}://{parts.netloc}".lower() + parts.path.rstrip("/")
    return hmac.new(api_key.encode(), place.encode(), hashlib.sha256).hexdigest()[:_DIGITS]
