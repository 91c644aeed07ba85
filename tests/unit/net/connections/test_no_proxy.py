"""NO_PROXY as people write it."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshd.net.connections.proxies import bypassed, find_proxy, no_proxy_faults


@pytest.mark.parametrize(
    ("no_proxy", "host", "port", "direct"),
    [
        ("*", "api.test", 443, True),
        ("api.test", "api.test", 443, True),
        ("api.test", "API.Test.", 443, True),
        ("api.test", "sub.api.test", 443, True),
        ("api.test", "myapi.test", 443, False),
        (".api.test", "sub.api.test", 443, True),
        (".api.test", "api.test", 443, True),
        ("*.api.test", "sub.api.test", 443, True),
        ("a.test, api.test", "api.test", 443, True),
        ("a.test api.test", "api.test", 443, True),
        ("api.test:8443", "api.test", 8443, True),
        ("api.test:8443", "api.test", 443, False),
        ("10.0.0.0/8", "10.1.2.3", 443, True),
        ("10.0.0.0/8", "11.1.2.3", 443, False),
        ("10.1.2.3/8", "10.9.9.9", 443, True),
        ("10.0.0.1", "10.0.0.1", 443, True),
        ("10.0.0.1", "10.0.0.10", 443, False),
        ("10.0.0.1:8000", "10.0.0.1", 8000, True),
        ("10.0.0.1:8000", "10.0.0.1", 80, False),
        ("fd00::/8", "fd12::1", 443, True),
        ("[fd00::]/8", "fd12::1", 443, True),
        ("[fd12::1]", "fd12::1", 443, True),
        ("fd12::1", "[fd12:0:0::1]", 443, True),
        ("[fd12::1]:8000", "fd12::1", 8000, True),
        ("[fd12::1]:8000", "fd12::1", 443, False),
        ("10.0.0.0/8", "::ffff:10.0.0.1", 443, True),
        ("10.0.0.0/8", "fd12::1", 443, False),
        ("10.0.0.0/8", "ten.test", 443, False),
        ("10.0.0.0/99,x/y,:,[,]", "10.0.0.1", 443, False),
        ("", "api.test", 443, False),
        (" , ,", "api.test", 443, False),
    ],
)
def test_no_proxy(no_proxy: str, host: str, port: int, direct: bool) -> None:
    assert bypassed(host, port, no_proxy) is direct
    proxied = find_proxy(True, host, port, {"HTTPS_PROXY": "http://proxy:1", "no_proxy": no_proxy})
    assert (proxied is None) is direct


@pytest.mark.parametrize(
    ("no_proxy", "host", "direct"),
    [
        ("192.168.1.*", "192.168.1.7", True),  # as Java and Windows write a network
        ("192.168.1.*", "192.168.10.7", False),
        ("192.168.*", "192.168.10.7", True),
        ("192.168.*.*", "192.168.10.7", True),
        ("10.*", "100.1.1.1", False),
        ("fd12:34:*", "fd12:34::1", True),
        ("192.168.1.*", "192.168.1.7.example", True),
        ("*corp", "mycorp", True),
        ("*.corp", "a.b.corp", True),
        ("*.corp", "corp", True),
        ("*.corp", "mycorp", False),
        ("api-*.corp", "api-1.corp", True),
        ("api-*.corp", "x.api-1.corp", True),
        ("api-*.corp", "web-1.corp", False),
        ("api-?.corp", "api-12.corp", False),
        ("corp.*", "corp.example", True),
        ("**", "api.test", True),
        ("*:443", "10.0.0.1", True),
        ("*:80", "10.0.0.1", False),
        ('"api.test,10.0.0.0/8"', "api.test", True),  # an --env-file keeps the quotes
        ('"api.test,10.0.0.0/8"', "10.1.1.1", True),
        ("'api.test'", "api.test", True),
        ("“api.test”,‘x’", "api.test", True),
        ('"a" "api.test"', "api.test", True),
        ("localhost|*.test", "api.test", True),
        ("http://api.test", "api.test", True),
        ("https://api.test:443/v1?x=y", "api.test", True),
        ("https://api.test:8443/", "api.test", False),
        ("https://me:pw@api.test/", "api.test", True),
        ("http://10.0.0.1/v1", "10.0.0.1", True),
        ("http://[fd12::1]:443/", "fd12::1", True),
        ("//api.test/", "api.test", True),
        ("api.test/v1", "api.test", True),
        ("api.test/", "api.test", True),
        ("api.test:", "api.test", True),
        ("api.test:*", "api.test", True),
        ("10.0.0.0/255.0.0.0", "10.1.1.1", True),
        ("10.0.0.0/8:443", "10.1.1.1", True),
        ("10.0.0.0/8:80", "10.1.1.1", False),
        ("[fd00::]/8:443", "fd12::1", True),
        ("::ffff:10.0.0.0/104", "10.1.1.1", True),
        ("0.0.0.0/0", "10.1.1.1", True),
        ("0.0.0.0/0", "fd12::1", False),
        ("::/0", "fd12::1", True),
        ("fe80::1%eth0", "fe80::1", True),
        ("<local>", "intranet", True),
        ("<local>", "api.test", False),
        ("<local>", "10.0.0.1", False),
        ("müller.example", "xn--mller-kva.example", True),
        ("xn--mller-kva.example", "müller.example", True),
        ("*.müller.example", "a.müller.example", True),
    ],
)
def test_no_proxy_as_people_write_it(no_proxy: str, host: str, direct: bool) -> None:
    assert bypassed(host, 443, no_proxy) is direct
    assert not no_proxy_faults({"NO_PROXY": no_proxy})


MEANINGLESS = {
    "10.0.0.0/99": "is not a network (10.0.0.0/8)",
    "fd00::/129": "is not a network",
    "10.0.0/8": "is not a network",
    "300.1.1.1": "is not an address",
    "10.": "is not an address",
    "192.168": "is not an address",
    "010.0.0.1": "is not an address",
    "10.0.0.1-10.0.0.9": "is not an address",
    "fd00::g1": "is not a name",
    "api.test:99999": "has no port between 1 and 65535",
    "api.test:0": "has no port",
    "api.test:http": "has no port",
    "api.test:٤٤٣": "has no port",
    "=": "is not a name",
    "{api.test}": "is not a name",
    "api..*:x": "has no port",
    ".": "is not an address",
    "*.": "is not a name",
    "[": "is not a name",
    "[]": "is not a name",
    "http://": "is not a name",
    "a" * 300: "is not a name",
    "\x1b[31mred": "is not a name",
    "\udcff\udcfe": "is not a name",
}


@pytest.mark.parametrize("entry", MEANINGLESS)
def test_an_entry_that_means_nothing_costs_itself_and_is_reported(entry: str) -> None:
    environ = {"no_proxy": f"a.test,{entry}, b.test", "HTTPS_PROXY": "http://proxy:1"}
    for host in ("a.test", "b.test"):
        assert find_proxy(True, host, None, environ) is None
    for host in ("api.test", "10.0.0.1", "fd00::1"):
        assert find_proxy(True, host, None, environ) is not None
    (fault,) = no_proxy_faults(environ)
    assert fault.startswith(f"no_proxy: {entry[:5]}" if entry.isprintable() else "no_proxy: ")
    assert MEANINGLESS[entry] in fault
    assert fault.isprintable()
    assert len(fault) < 160


def test_a_fault_does_not_show_who_logs_in() -> None:
    (fault,) = no_proxy_faults({"NO_PROXY": "https://me:secret-pw@api.test:0"})
    assert "secret-pw" not in fault
    assert "api.test:0" in fault


def test_many_wildcards_are_matched_at_once() -> None:
    assert not bypassed("a" * 250, 443, "a*" * 120 + "b")
    assert not bypassed("a." * 120 + "a", 443, "*a" * 100 + "b")


@given(st.text(alphabet="ab.:[]/%019*?-_@\"' ,|<>\udcff\x1b٣ü", max_size=60))
def test_of_any_entries_what_is_wrong_is_printable(no_proxy: str) -> None:
    for fault in no_proxy_faults({"no_proxy": no_proxy}):
        assert fault.isprintable()


@given(st.ip_addresses(), st.integers(0, 128), st.integers(0, 2**128 - 1))
def test_a_network_covers_its_addresses_and_no_other(address, prefix, other) -> None:
    prefix = min(prefix, address.max_prefixlen)
    network = ipaddress.ip_network((address, prefix), strict=False)
    candidate = type(address)(other % 2**address.max_prefixlen)
    for written in (str(network), f"[{network.network_address}]/{prefix}"):
        assert bypassed(str(address), 443, written) or getattr(address, "ipv4_mapped", None)
        if not getattr(candidate, "ipv4_mapped", None):
            assert bypassed(f"[{candidate}]", 443, written) is (candidate in network)


@given(st.text(max_size=40), st.text(alphabet="abc.:[]/%019", max_size=20))
def test_any_no_proxy_is_read(no_proxy: str, host: str) -> None:
    bypassed(host, 443, no_proxy)
