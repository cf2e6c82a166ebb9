"""A door in front of a server: shut, everything behind it is unreachable, and nothing is lost."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from typing import Final
from urllib.parse import urlsplit

from tests.support.ports import loopback

CHUNK: Final = 1 << 16
STEP_SECONDS: Final = 10


class Gate:
    """Forwards TCP from a port of its own to `target`, in its own thread."""

    def __init__(self, target: str) -> None:
        parts = urlsplit(target)
        self._target = (parts.hostname or "127.0.0.1", parts.port or 80)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="gate", daemon=True)
        self._writers: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server | None = None
        self._port = 0
        # Keeps the port while the door is shut: somebody else would get it.
        self._held: socket.socket | None = None
        self._shut_by = 0

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def start(self) -> None:
        self._thread.start()
        self.open()

    def open(self) -> None:
        """Let connections through."""
        self._do(self._listen())

    def shut(self) -> None:
        """Refuse new connections and break those that are open."""
        self._do(self._close())

    def stop(self) -> None:
        self.shut()
        self._do(self._settle())
        if self._held is not None:
            self._held.close()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(STEP_SECONDS)
        self._loop.close()

    @contextmanager
    def closed(self) -> Iterator[None]:
        """Shut for the block, open again after it; with several blocks, after the last one."""
        self._shut_by += 1
        self.shut()
        try:
            yield
        finally:
            self._shut_by -= 1
            if not self._shut_by:
                self.open()

    def _do(self, step: Coroutine[None, None, None]) -> None:
        asyncio.run_coroutine_threadsafe(step, self._loop).result(STEP_SECONDS)

    async def _listen(self) -> None:
        listener, self._held = self._held or loopback(self._port), None
        self._port = listener.getsockname()[1]
        self._server = await asyncio.start_server(self._serve, sock=listener)

    async def _close(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
            # Bound, so that the port stays ours; it refuses connections until it listens.
            self._held = loopback(self._port)
        for writer in list(self._writers):
            writer.transport.abort()

    async def _settle(self) -> None:
        """Wait for whoever still serves a connection; those that do not end are ended."""
        serving = asyncio.all_tasks() - {asyncio.current_task()}
        if serving:
            _, pending = await asyncio.wait(serving, timeout=1)
            for task in pending:
                task.cancel()
            await asyncio.gather(*pending, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            there, back = await asyncio.open_connection(*self._target)
            self._writers.add(back)
            try:
                await asyncio.gather(_pump(reader, back), _pump(there, writer))
            finally:
                self._writers.discard(back)
                back.transport.abort()
        except OSError:
            # What is behind the gate refuses: so does the gate.
            writer.transport.abort()
        finally:
            self._writers.discard(writer)
            writer.close()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while chunk := await reader.read(CHUNK):
            writer.write(chunk)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()
