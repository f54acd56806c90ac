"""Which proxy leads to a URL."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipecat_roark.delivery.route import proxy_for

ROARK = "https://api.roark.ai/v1"
PROXY = "http://proxy.test:3128"


def through(url: str, **proxies: str) -> str | None:
    """Return the proxy that leads to a URL."""
    proxy = proxy_for(url, proxies)
    return None if proxy is None else proxy.url


@pytest.mark.parametrize(
    ("proxies", "expected"),
    [
        ({}, None),
        ({"https": PROXY}, PROXY),
        ({"all": PROXY}, PROXY),
        ({"https": PROXY, "all": "http://other.test"}, PROXY),
        ({"http": PROXY}, None),
        ({"https": ""}, None),
        ({"https": "proxy.test:3128"}, PROXY),
        ({"all": "socks5://127.0.0.1:1080"}, "socks5://127.0.0.1:1080"),
    ],
)
def test_the_scheme_chooses_the_proxy(proxies: dict[str, str], expected: str | None) -> None:
    """That of the URL's scheme takes precedence over that of all."""
    assert through(ROARK, **proxies) == expected


@pytest.mark.parametrize(
    ("url", "no_proxy", "direct"),
    [
        (ROARK, "*", True),
        (ROARK, "localhost, *", True),
        (ROARK, "api.roark.ai", True),
        (ROARK, "API.Roark.AI", True),
        (ROARK, "roark.ai", True),
        (ROARK, ".roark.ai", True),
        (ROARK, "*.roark.ai", True),
        (ROARK, "ark.ai", False),
        (ROARK, "roark.ai.evil.test", False),
        (ROARK, "localhost,127.0.0.1,::1,[::1]", False),
        (ROARK, "localhost,fe80::/10", False),
        (ROARK, "localhost,fe80::/10,roark.ai", True),
        (ROARK, "roark.ai:443", True),
        (ROARK, "roark.ai:8443", False),
        (ROARK, "https://roark.ai", True),
        (ROARK, "", False),
        (ROARK, " , ,:,[],://,.", False),
        ("https://10.1.2.3", "10.0.0.0/8", True),
        ("https://10.1.2.3", "10.1.2.3", True),
        ("https://10.1.2.3", "192.168.0.0/16", False),
        ("https://10.1.2.3:8443", "10.1.2.3:8443", True),
        ("https://[fe80::1]", "fe80::/10", True),
        ("https://[fd00::1]", "[fd00::1]", True),
        ("https://[fd00::1]", "[fd00::1]:443", True),
        ("https://[fd00::1]", "[fd00::1]:8443", False),
        ("https://[fd00::1]", "fe80::/10", False),
    ],
)
def test_no_proxy_has_its_exceptions(url: str, no_proxy: str, *, direct: bool) -> None:
    """Names, domains, addresses and networks, as other tools read them; the rest is ignored."""
    assert (through(url, https=PROXY, no=no_proxy) is None) is direct


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.1.2.3", "[::1]"])
def test_this_machine_is_reached_directly(host: str) -> None:
    """Over plain HTTP the key would leave the machine with the proxy."""
    assert through(f"http://{host}:8765", http=PROXY, all=PROXY) is None


def test_a_proxy_is_named_by_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    """As it is spelled; elsewhere it is a setting of the system."""
    for name in ("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    proxy = proxy_for(ROARK, {"https": PROXY})
    assert proxy is not None
    assert proxy.name == "the proxy setting of this system"
    monkeypatch.setenv("ALL_PROXY", PROXY)
    proxy = proxy_for(ROARK, {"all": PROXY})
    assert proxy is not None
    assert proxy.name == "ALL_PROXY"


@given(st.text(alphabet=":/[]*.,% 0189afAFhtps-"))
def test_no_entry_does_harm(no_proxy: str) -> None:
    """Whatever stands there, a URL has a route."""
    for url in (ROARK, "https://10.1.2.3", "https://[fe80::1]"):
        assert through(url, https=PROXY, no=no_proxy) in {None, PROXY}
