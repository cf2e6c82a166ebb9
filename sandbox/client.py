"""A client of the sandbox's HTTP API, for the flow, the demo and the tests."""

from __future__ import annotations

from types import TracebackType
from typing import Any, Final, Self

import httpx
from pydantic import SecretStr

from core.errors import (
    BadInput,
    InvalidState,
    MeetbotError,
    NotFound,
    RateLimited,
    Unauthorized,
    Unavailable,
)
from sandbox.schemas import HostAction, HostCommand, RoomCreated, RoomOptions, RoomView

_ERRORS: Final[dict[int, type[MeetbotError]]] = {
    401: Unauthorized,
    404: NotFound,
    409: InvalidState,
    422: BadInput,
}


class SandboxClient:
    """Every method raises `Unavailable` when the sandbox does not answer within `timeout` s.

    Usable as an async context manager; else call `close()`.
    """

    def __init__(self, origin: str, admin_token: SecretStr, timeout: float = 10) -> None:
        self._origin = origin
        self._http = httpx.AsyncClient(
            base_url=origin,
            timeout=timeout,
            trust_env=False,
            headers={"Authorization": f"Bearer {admin_token.get_secret_value()}"},
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        await self._http.aclose()

    async def create_room(self, options: RoomOptions | None = None) -> RoomCreated:
        """A new room. Raises BadInput (no such script) or RateLimited (too many rooms)."""
        body = (options or RoomOptions()).model_dump(mode="json", by_alias=True)
        return RoomCreated.model_validate(await self._ask("POST", "/api/rooms", body))

    async def room(self, room_id: str) -> RoomView:
        """The room as it is now. Raises NotFound."""
        return RoomView.model_validate(await self._ask("GET", f"/api/rooms/{room_id}"))

    async def host(
        self, room_id: str, action: HostAction, participant_id: str | None = None
    ) -> RoomView:
        """Do what a host does. Raises NotFound, InvalidState (the room is over), BadInput."""
        command = HostCommand(action=action, participant_id=participant_id)
        body = command.model_dump(mode="json", by_alias=True)
        return RoomView.model_validate(await self._ask("POST", f"/api/rooms/{room_id}/host", body))

    async def delete(self, room_id: str) -> None:
        """End the room and forget it. Raises NotFound."""
        await self._ask("DELETE", f"/api/rooms/{room_id}")

    async def _ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        try:
            answer = await self._http.request(method, path, json=body)
        except httpx.HTTPError as error:
            raise Unavailable(
                f"The sandbox at {self._origin} does not answer ({type(error).__name__}); "
                "start it with `meetbot-server up`, or correct MEETBOT_SANDBOX__ORIGIN."
            ) from error
        if answer.status_code == httpx.codes.TOO_MANY_REQUESTS:
            raise RateLimited(_message(answer), int(answer.headers.get("Retry-After", "30")))
        if answer.is_error:
            raise _ERRORS.get(answer.status_code, Unavailable)(_message(answer))
        return answer.json() if answer.content else None


def _message(answer: httpx.Response) -> str:
    try:
        return str(answer.json()["error"]["message"])
    except (ValueError, KeyError, TypeError):
        return f"The sandbox answered {answer.status_code}."
