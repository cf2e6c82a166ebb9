"""Whose a loopback connection is, where the system tells (Linux)."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

_TABLE: Final = Path("/proc/net/tcp")
_LOOPBACK: Final = "0100007F"


def is_our_connection(client_port: int, server_port: int) -> bool:
    """Whether the client end of an IPv4 loopback connection belongs to our user.

    True where the system does not tell: then only the random port keeps others out.
    """
    try:
        lines = _TABLE.read_text("ascii").splitlines()[1:]
    except OSError:
        return True
    client = f"{_LOOPBACK}:{client_port:04X}"
    server = f"{_LOOPBACK}:{server_port:04X}"
    for line in lines:
        fields = line.split()
        if len(fields) > 7 and fields[1] == client and fields[2] == server:
            return int(fields[7]) == os.getuid()
    return False
