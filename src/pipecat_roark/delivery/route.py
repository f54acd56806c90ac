"""The route: which proxy, if any, leads to a URL, by the variables that every HTTP tool reads.

httpx reads the same variables. But there, one entry of `NO_PROXY` that it can't parse, or one proxy
that it can't use, breaks every request, even those that need no proxy.

The module does no I/O: the proxies are arguments.
"""

from __future__ import annotations

import os
from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Mapping

_PORTS = {"http": 80, "https": 443}


class Proxy(NamedTuple):
    """A proxy.

    Attributes:
        url: Its URL; it may contain a password.
        name: Where it was configured, for the log.
    """

    url: str
    name: str


def proxy_for(url: str, proxies: Mapping[str, str]) -> Proxy | None:
    """Return the proxy that leads to a URL, or None if it is reached directly.

    Args:
        url: The URL.
        proxies: Proxies by scheme, and the exceptions under `no`, as `urllib` finds them.
    """
    parts = urlsplit(url)
    host = (parts.hostname or "").lower()
    found = proxies.get(parts.scheme) or proxies.get("all")
    if not found or _is_loopback(host):  # a key that must not leave this machine does not
        return None
    port = parts.port or _PORTS[parts.scheme]
    if any(_excepts(entry, host, port) for entry in proxies.get("no", "").split(",")):
        return None
    scheme = parts.scheme if proxies.get(parts.scheme) else "all"
    return Proxy(found if "://" in found else f"http://{found}", _configured_in(scheme))


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _excepts(entry: str, host: str, port: int) -> bool:
    """Return whether an entry of `NO_PROXY` matches: a name, a domain, an address or a network."""
    entry = entry.strip().lower().rpartition("://")[2]
    if entry == "*":
        return True
    try:
        network = ip_network(entry.strip("[]"), strict=False)
    except ValueError:
        name, _, digits = entry.rpartition(":")
        if not digits.isdecimal():
            name = entry
        elif int(digits) != port:
            return False
        name = name.strip("[]").removeprefix("*").removeprefix(".")
        return bool(name) and (host == name or host.endswith(f".{name}"))
    try:
        return ip_address(host) in network
    except ValueError:
        return False


def _configured_in(scheme: str) -> str:
    """Return the variable that names the proxy of a scheme, as it is spelled."""
    variable = f"{scheme}_proxy"
    spelled = [name for name in (variable, variable.upper()) if os.environ.get(name)]
    return spelled[0] if spelled else "the proxy setting of this system"
