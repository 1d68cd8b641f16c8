"""Addresses, invitations to scan, and the self-made certificate."""

from __future__ import annotations

import ipaddress
import ssl
import stat
import sys
from pathlib import Path

import httpx
import pytest

from rlm_core.security import Access
from rlm_core.security.certificate import own_certificate
from rlm_core.security.network import home_addresses, host_names
from tests.api.conftest import PASSWORD
from tests.api.server import RunningApp
from tests.scripted.ollama_server import ScriptedOllama


def test_home_addresses_are_those_that_others_can_reach() -> None:
    for address in home_addresses():
        parsed = ipaddress.ip_address(address)
        assert not parsed.is_loopback
        assert not parsed.is_link_local
    assert "localhost" not in host_names()


def test_only_this_computer_is_known_without_the_home_network(tmp_path: Path) -> None:
    alone, open_to_home = Access.loopback(), Access.home_network(tmp_path, password=PASSWORD)
    for name in [*home_addresses(), *host_names()]:
        assert not alone.knows_host(name)
        assert open_to_home.knows_host(name)
    assert not open_to_home.knows_host("evil.example")


def test_the_announcement_has_address_code_and_the_warning_about_encryption(tmp_path: Path) -> None:
    access = Access.home_network(tmp_path, port=8123)
    text = access.announcement()
    assert access.url in text
    assert ":8123" in text
    assert "not encrypted" in text
    assert "not encrypted" not in Access.home_network(tmp_path, https=True).announcement()
    assert "this computer only" in Access.loopback().announcement()


def test_a_loopback_server_invites_nobody() -> None:
    with pytest.raises(ValueError, match="Nobody has to log in"):
        Access.loopback().invitation_url()


def test_https_with_the_self_made_certificate(ollama: ScriptedOllama, tmp_path: Path) -> None:
    access = Access.home_network(tmp_path, password=PASSWORD, https=True)
    access.host = "127.0.0.1"
    assert access.certificate is not None
    trusting = ssl.create_default_context(cafile=str(access.certificate[0]))
    with RunningApp(tmp_path, ollama.url, access=access) as app:
        with httpx.Client(base_url=app.url, verify=trusting) as client:
            logged_in = client.post("/login", data={"name": "owner", "password": PASSWORD})
            assert "Secure" in logged_in.headers["set-cookie"]
            assert client.get("/status").status_code == 200
            origin = {"Origin": app.url}
            assert client.post("/conversations", json={}, headers=origin).status_code == 201
        with (
            httpx.Client(base_url=app.url) as suspicious,
            pytest.raises(httpx.ConnectError, match="certificate"),
        ):
            suspicious.get("/login")


def test_a_certificate_is_kept_until_an_address_is_missing(tmp_path: Path) -> None:
    certificate, key = own_certificate(tmp_path, ["localhost", "127.0.0.1"])
    first = certificate.read_bytes()
    assert own_certificate(tmp_path, ["127.0.0.1"]) == (certificate, key)
    assert certificate.read_bytes() == first
    own_certificate(tmp_path, ["127.0.0.1", "192.168.7.9"])
    assert certificate.read_bytes() != first
    certificate.write_bytes(b"damaged")
    own_certificate(tmp_path, ["127.0.0.1"])
    assert b"BEGIN CERTIFICATE" in certificate.read_bytes()
    if sys.platform != "win32":
        assert stat.S_IMODE(key.stat().st_mode) == 0o600
