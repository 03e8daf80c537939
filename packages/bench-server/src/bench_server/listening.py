"""Where the server listens: in clear on this machine only, with TLS wherever others can reach it."""

import ipaddress
import socket
from dataclasses import dataclass

import psutil

from bench_server.errors import StartError

LOOPBACK = "127.0.0.1"

EXPOSED_VARIABLE = "BENCH_SERVER_EXPOSED"
"""Set by `bench-server start` for its processes where others than this machine can reach the server."""


@dataclass(frozen=True)
class Listening:
    """Where a server listens.

    Args:
        clear: "HOST:PORT" without TLS, of this machine's own.
        secure: "HOST:PORT" with TLS.
        url: What people call it.
        names: What its certificate must be valid for; empty where no TLS is.
    """

    clear: tuple[str, ...]
    secure: tuple[str, ...]
    url: str
    names: tuple[str, ...]


def listen_on(host: str, port: int) -> Listening:
    """Where to listen for a host and a port.

    Args:
        host: A name or address of this machine; 0.0.0.0 or :: for all of them.
        port: The port.

    Returns:
        With a loopback address, clear there alone. With another, TLS there, and clear on loopback. With all
        addresses, TLS on all, loopback too: no other socket can have the port beside that one.

    Raises:
        StartError: The host is no address of anything.
    """
    if host == "localhost":
        host = LOOPBACK
    addresses = _addresses(host)
    beyond = [address for address in addresses if not ipaddress.ip_address(address).is_loopback]
    if not beyond:
        if host not in addresses:
            raise StartError(
                f"{host} is {addresses[0]} on this machine, which no other can reach",
                hint="Name the address that others use, or 0.0.0.0 for all.",
            )
        shown = "localhost" if host == LOOPBACK else _bracketed(host)
        return Listening((_at(host, port),), (), f"http://{shown}:{port}", ())
    everywhere = any(ipaddress.ip_address(address).is_unspecified for address in beyond)
    machine = socket.gethostname().lower()
    names = {machine, "localhost", LOOPBACK, "::1", *(_own_addresses() if everywhere else (host, *beyond))}
    return Listening(
        clear=() if everywhere else (_at(LOOPBACK, port),),
        secure=tuple(_at(address, port) for address in beyond),
        url=f"https://{machine if everywhere else _bracketed(host)}:{port}",
        names=tuple(sorted(names)),
    )


def _addresses(host: str) -> list[str]:
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise StartError(
            f"{host!r} is no address of this machine: {getattr(error, 'strerror', None) or error}",
            hint="Name one with --host, or 0.0.0.0 for all.",
        ) from None
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


def _own_addresses() -> set[str]:
    families = (socket.AF_INET, socket.AF_INET6)
    found = [one.address for card in psutil.net_if_addrs().values() for one in card if one.family in families]
    return {address for address in found if "%" not in address}  # one with a zone is no good as a name


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _at(host: str, port: int) -> str:
    return f"{_bracketed(host)}:{port}"
