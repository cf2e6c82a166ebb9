"""Ports that are free right now, and sockets bound to them."""

from __future__ import annotations

import socket


def free_port() -> int:
    with loopback() as probe:
        port: int = probe.getsockname()[1]
    return port


def loopback(port: int = 0) -> socket.socket:
    """A TCP socket bound on loopback; port 0 is a free one.

    The protocol is named because asyncio switches Nagle's algorithm off only where it is: without
    it every answer whose head and body are written apart waits 40 ms for an acknowledgement.
    """
    bound = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    bound.bind(("127.0.0.1", port))
    return bound
