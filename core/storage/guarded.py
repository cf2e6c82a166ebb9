"""Connections to customers' buckets: checked when they are made, each time (CV-16).

The store's name is resolved here and the connection goes to an address that was checked, so that
no answer of a name server, no redirect and no proxy of the environment leads inside.
"""

from __future__ import annotations

import socket
from collections.abc import Sequence
from typing import Any

from botocore.awsrequest import (
    AWSHTTPConnection,
    AWSHTTPConnectionPool,
    AWSHTTPSConnection,
    AWSHTTPSConnectionPool,
    AWSPreparedRequest,
)
from botocore.httpsession import URLLib3Session
from urllib3.exceptions import ConnectTimeoutError, NewConnectionError
from urllib3.util.connection import create_connection

from core.network.addresses import (
    AddressRefused,
    HostUnknown,
    ResolverFailed,
    check_public,
    is_trusted,
)


def guard(client: Any, trusted_origins: Sequence[str], *, timeout: tuple[float, float]) -> None:
    """Have `client`, one of boto3's, connect to public addresses and trusted origins only.

    Args:
        timeout: seconds for connecting and for each read.
    """
    sender = _Sender(tuple(trusted_origins), timeout)
    # What answers this event is the answer; botocore's own way out is not used.
    client.meta.events.register("before-send.s3", sender.send)


# The published types lag behind the class.
_Session: Any = URLLib3Session


class _Sender:
    def __init__(self, trusted: tuple[str, ...], timeout: tuple[float, float]) -> None:
        self._session = _Session(timeout=timeout, proxies={})
        # Pools take their connection class from here; each session has classes of its own.
        self._session._manager.pool_classes_by_scheme = {
            "http": _pool(AWSHTTPConnectionPool, AWSHTTPConnection, trusted),
            "https": _pool(AWSHTTPSConnectionPool, AWSHTTPSConnection, trusted),
        }

    def send(self, request: AWSPreparedRequest, **_: Any) -> Any:
        return self._session.send(request)


def _pool(pool: Any, connection: Any, trusted: tuple[str, ...]) -> Any:
    checked = type("Checked", (_Checked, connection), {"trusted_origins": trusted})
    return type("CheckedPool", (pool,), {"ConnectionCls": checked})


class _Checked:
    """Mixed into a connection: where its socket goes."""

    trusted_origins: tuple[str, ...] = ()

    def _new_conn(self: Any) -> socket.socket:
        scheme = "https" if isinstance(self, AWSHTTPSConnection) else "http"
        failure: Exception | None = None
        for address in _addresses(scheme, self.host, self.port, self.trusted_origins):
            try:
                return create_connection(
                    (address, self.port), self.timeout, socket_options=self.socket_options
                )
            except TimeoutError as exc:
                failure = ConnectTimeoutError(self, f"{self.host} did not answer in time")
                failure.__cause__ = exc
            except OSError as exc:
                failure = NewConnectionError(self, f"{self.host} cannot be connected to: {exc}")
        raise failure or NewConnectionError(self, f"{self.host} has no address")


def _addresses(scheme: str, host: str, port: int, trusted: Sequence[str]) -> list[str]:
    written = f"[{host}]" if ":" in host else host
    is_exempt = is_trusted(f"{scheme}://{written}:{port}", trusted)
    if scheme != "https" and not is_exempt:
        raise AddressRefused(f"Use an https endpoint instead of http://{host}.")
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except socket.gaierror as error:
        if error.errno == socket.EAI_NONAME:
            raise HostUnknown(
                f"The name {host} does not exist; check the endpoint and the bucket's name."
            ) from None
        raise ResolverFailed(f"The name {host} could not be resolved; try again.") from None
    addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
    if not is_exempt:
        check_public(host, addresses)
    return addresses
