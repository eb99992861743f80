"""Which addresses a program may go to unasked, however they are written."""

from __future__ import annotations

import pytest

from simpletuner.core.addresses import is_address, is_loopback, is_public, resolve


@pytest.mark.parametrize(
    "address",
    "127.0.0.1 127.9.9.9 0.0.0.0 10.0.0.1 172.16.0.1 192.168.1.1 169.254.169.254 100.64.0.1 224.0.0.1 ::1 :: "
    "fe80::1 fe80::1%eth0 fc00::1 ff02::1 ::ffff:127.0.0.1 ::ffff:10.0.0.1 64:ff9b::7f00:1 "
    "2002:7f00:1:: 255.255.255.255".split(),
)
def test_addresses_that_are_not_public(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", ["93.184.215.14", "2606:2800:21f::1", "::ffff:93.184.215.14", "64:ff9b::5db8:d70e"])
def test_addresses_that_are(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize(
    ("host", "address", "loopback"),
    [("127.0.0.1", True, True), ("::1", True, True), ("10.0.0.1", True, False), ("localhost", False, False)],
)
def test_a_host_as_it_is_written(host: str, address: bool, loopback: bool) -> None:
    assert (is_address(host), is_loopback(host)) == (address, loopback)


def test_the_system_resolves() -> None:
    assert set(resolve("localhost", 80)) <= {"127.0.0.1", "::1"}
