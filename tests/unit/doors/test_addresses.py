"""Lists of addresses, and what proxies tell of them."""

from typing import Any

import pytest

from orchestrator.domain.credential import Entry
from orchestrator.doors.addresses import Addresses
from orchestrator.networks import Networks, address, neighbourhood, network
from orchestrator.settings import SettingsError, load


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("192.0.2.7", "192.0.2.7/32"), ("10.1.2.3/8", "10.0.0.0/8"), ("10.0.0.0/255.0.0.0", "10.0.0.0/8"),
        ("0.0.0.0/0", "0.0.0.0/0"),
        ("2001:DB8::1", "2001:db8::1/128"), ("2001:db8::1/32", "2001:db8::/32"), ("::/0", "::/0"),
        ("::ffff:192.0.2.7", "192.0.2.7/32"), ("::ffff:10.1.2.3/104", "10.0.0.0/8"), ("::ffff:0:0/96", "0.0.0.0/0"),
    ],
)  # fmt: skip
def test_a_network_has_one_name(text: str, found: str) -> None:
    assert str(network(text)) == found


@pytest.mark.parametrize(
    "text", ["", "*", "localhost", "10.0.0.0/33", "10.0.0", "fe80::1%eth0", "1.2.3.4 ", "::1/129", "010.0.0.1"]
)
def test_what_is_no_network(text: str) -> None:
    with pytest.raises(ValueError, match="expected such as") as raised:
        network(text)
    assert repr(text) in str(raised.value)


def test_networks_of_many_lengths() -> None:
    networks = Networks(["10.0.0.0/8", "192.0.2.128/25", "192.0.2.1", "2001:db8::/32", "::1"])
    inside = ("10.255.0.1", "192.0.2.129", "192.0.2.1", "2001:db8:ffff::1", "::1", "::ffff:10.0.0.1", "2001:db8::1%eth0")
    outside = ("11.0.0.1", "192.0.2.127", "192.0.2.2", "2001:db9::1", "::2", "0.0.0.1", "unknown", "")
    assert [one for one in inside if address(one) not in networks] == []
    assert [one for one in outside if address(one) in networks] == []
    assert not Networks([])
    assert networks


def test_a_neighbourhood_counts_as_one() -> None:
    assert neighbourhood("2001:db8:1:2:3::1") == neighbourhood("2001:db8:1:2::") != neighbourhood("2001:db8:1:3::")
    assert neighbourhood("::ffff:192.0.2.1") == "::ffff:192.0.2.1"
    assert neighbourhood("192.0.2.1") == "192.0.2.1"
    assert neighbourhood("unknown") == "unknown"


def refused(addresses: Addresses, *asking: str | None) -> list[bool]:
    return [addresses.refused(one) is not None for one in asking]


def test_without_lists_everybody_may() -> None:
    assert refused(Addresses(), "192.0.2.1", "::1", "unknown", None) == [False] * 4


def test_deny_goes_before_allow() -> None:
    addresses = Addresses(allow=["10.0.0.0/8"], deny=["10.1.0.0/16"])
    assert refused(addresses, "10.2.0.1", "10.1.0.1", "192.0.2.1", "::ffff:10.2.0.1", "::ffff:10.1.0.1") == [
        False, True, True, False, True,
    ]  # fmt: skip
    assert refused(addresses, "unknown", None, "") == [True] * 3


def test_lists_of_the_database_and_of_the_settings_are_one() -> None:
    addresses = Addresses()
    addresses.replace([Entry(list="allow", network="2001:db8::/32"), Entry(list="deny", network="2001:db8::1/128")])
    assert refused(addresses, "2001:db8::2", "2001:db8::1", "192.0.2.1") == [False, True, True]
    addresses.configure(["192.0.2.1"], ["2001:db8::2"])
    assert refused(addresses, "2001:db8::2", "2001:db8::3", "192.0.2.1", "192.0.2.2") == [True, False, False, True]
    addresses.replace([])
    assert refused(addresses, "2001:db8::3", "192.0.2.1") == [True, False]


def test_a_refusal_says_which_list() -> None:
    addresses = Addresses(allow=["10.0.0.0/8"], deny=["10.1.0.0/16"])
    told = [str(addresses.refused(one)) for one in ("10.1.0.1", "192.0.2.1", None)]
    assert told == [
        "10.1.0.1 is on the blacklist of this server",
        "192.0.2.1 is not on the whitelist of this server",
        "an unknown address is not on the whitelist of this server",
    ]


PROXIES = ("127.0.0.1", "10.0.0.0/8", "2001:db8::/32")


def told(peer: str, *forwarded: str, scheme: tuple[str, ...] = ()) -> tuple[str | None, dict[str, Any]]:
    headers = [(b"host", b"x"), *((b"x-forwarded-for", one.encode("latin-1")) for one in forwarded)]
    headers += [(b"x-forwarded-proto", one.encode()) for one in scheme]
    scope: dict[str, Any] = {"client": (peer, 1234), "scheme": "http", "headers": headers}
    return Addresses(proxies=PROXIES).client(scope), scope


@pytest.mark.parametrize(
    ("forwarded", "found"),
    [
        (["192.0.2.1"], "192.0.2.1"),
        (["6.6.6.6, 192.0.2.1"], "192.0.2.1"),
        (["6.6.6.6", "192.0.2.1"], "192.0.2.1"),
        (["6.6.6.6, 192.0.2.1, 10.1.1.1", "10.2.2.2,127.0.0.1"], "192.0.2.1"),
        (["127.0.0.1, 192.0.2.1"], "192.0.2.1"),
        (["192.0.2.1:4711"], "192.0.2.1"),
        (["2001:DB9::0:1"], "2001:db9::1"),
        (["[2001:db9::1]:4711, 2001:db8::5"], "2001:db9::1"),
        (["[2001:db9::1]"], "2001:db9::1"),
        (["::ffff:192.0.2.1"], "192.0.2.1"),
        (["192.0.2.1, ::ffff:10.1.1.1"], "192.0.2.1"),
        (["192.0.2.1, ,"], "192.0.2.1"),
        (["10.1.1.1, 10.2.2.2"], "10.1.1.1"),
        (["192.0.2.1, nonsense"], "unknown"),
        (["192.0.2.1, \xe9" + "9" * 5000], "unknown"),
        (["127.0.0.1, [::1"], "::1"),
        (["unknown"], "unknown"),
        ([" , "], "10.9.9.9"),
        ([], "10.9.9.9"),
    ],
)
def test_who_asks_is_the_last_that_no_proxy_of_ours_is(forwarded: list[str], found: str) -> None:
    asking, scope = told("10.9.9.9", *forwarded)
    assert asking == scope["client"][0] == found


def test_who_is_no_proxy_is_not_believed() -> None:
    for peer in ("192.0.2.9", "::1", "unknown"):
        asking, scope = told(peer, "127.0.0.1", scheme=("https",))
        assert asking == peer
        assert (scope["client"], scope["scheme"]) == ((peer, 1234), "http")
    nowhere: dict[str, Any] = {"client": None, "headers": [(b"x-forwarded-for", b"192.0.2.1")]}
    assert Addresses(proxies=PROXIES).client(nowhere) is None


def test_without_proxies_nobody_is_believed() -> None:
    scope = {"client": ("127.0.0.1", 1), "scheme": "http", "headers": [(b"x-forwarded-for", b"192.0.2.1")]}
    assert Addresses().client(scope) == "127.0.0.1"


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ((), "http"), (("https",), "https"), (("HTTPS ",), "https"), (("http, https",), "https"), (("https", "http"), "http"),
        (("wss",), "http"),
    ],
)  # fmt: skip
def test_the_scheme_is_the_one_that_the_nearest_proxy_tells(given: tuple[str, ...], found: str) -> None:
    _, scope = told("127.0.0.1", "192.0.2.1", scheme=given)
    assert scope["scheme"] == found


@pytest.mark.parametrize("key", ["trusted_proxies", "allow", "deny"])
@pytest.mark.parametrize("value", ["*", "proxy.example", "10.0.0.0/8, 1.2.3"])
def test_settings_name_networks_only(key: str, value: str) -> None:
    with pytest.raises(SettingsError, match=f"server.{key} = .*: '.*' is no address or network: expected such as"):
        load(environ={f"APP_SERVER_{key.upper()}": value})
    assert getattr(load(environ={f"APP_SERVER_{key.upper()}": "10.0.0.0/8, ::1"}).server, key) == ("10.0.0.0/8", "::1")


def test_proxies_change_with_the_settings() -> None:
    addresses = Addresses(proxies=PROXIES)
    scope: dict[str, Any] = {"client": ("127.0.0.1", 1), "scheme": "http", "headers": [(b"x-forwarded-for", b"192.0.2.1")]}
    addresses.configure([], [], ["10.0.0.0/8"])
    assert addresses.client(scope) == "127.0.0.1"
    with pytest.raises(ValueError, match="no address or network"):
        addresses.configure([], [], ["*"])
