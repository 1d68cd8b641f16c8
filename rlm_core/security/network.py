"""The addresses under which the home network reaches this computer. Nothing is sent anywhere to find them out."""

from __future__ import annotations

import ipaddress
import socket
import struct
import sys

_SIOCGIFADDR = 0x8915


def home_addresses() -> list[str]:
    """IPv4 addresses of this computer that others can reach, the one of the default route first."""
    found = [*_default_route(), *_interfaces()]
    return [address for address in dict.fromkeys(found) if _reachable_by_others(address)]


def host_names() -> list[str]:
    """The names under which a home network knows this computer: its own, and the same with ``.local``."""
    name = socket.gethostname().lower()
    if not name or name == "localhost":
        return []
    short = name.split(".")[0]
    return list(dict.fromkeys([name, short, f"{short}.local"]))


def is_loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False


def _reachable_by_others(address: str) -> bool:
    parsed = ipaddress.ip_address(address)
    return not (parsed.is_loopback or parsed.is_unspecified or parsed.is_link_local)


def _default_route() -> list[str]:
    """Connecting a UDP socket sends nothing; it only makes the system choose the interface it would use."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # TEST-NET-1, RFC 5737: belongs to nobody
        except OSError:
            return []  # no route to anywhere: a network of its own
        return [str(probe.getsockname()[0])]


if sys.platform == "linux":
    import fcntl

    def _interfaces() -> list[str]:
        addresses = []
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as handle:
            for _, name in socket.if_nameindex():
                request = struct.pack("256s", name.encode()[:15])
                try:
                    reply = fcntl.ioctl(handle, _SIOCGIFADDR, request)
                except OSError:
                    continue  # an interface without an IPv4 address
                addresses.append(socket.inet_ntoa(reply[20:24]))
        return addresses

else:

    def _interfaces() -> list[str]:
        """Windows and macOS know the addresses of their own name without asking anybody."""
        try:
            found = socket.getaddrinfo(socket.gethostname(), None, socket.AF_INET)
        except OSError:
            return []
        return [str(entry[4][0]) for entry in found]
