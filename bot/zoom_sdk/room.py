"""The verbs of a meeting by Zoom's SDK. What it lacks beside the web client: captions, pictures."""

from __future__ import annotations

from contextlib import suppress
from typing import Any, Final, NoReturn

from bot.platforms.media import Media
from bot.platforms.room import Capabilities, Entry, Sight, View
from bot.zoom_sdk.failures import end_failure, join_failure
from bot.zoom_sdk.meeting import SdkMeeting
from core.errors import BadInput, MeetingError, UnsupportedOnPlatform

CAPABILITIES: Final = Capabilities(lobby=True, chat=True, host_role=True)
# As the web client's.
CHAT_LIMIT: Final = 1024
_VIEWS: Final = {
    "MEETING_STATUS_CONNECTING": View.JOINING,
    "MEETING_STATUS_WAITINGFORHOST": View.LOBBY,
    "MEETING_STATUS_IN_WAITING_ROOM": View.LOBBY,
    "MEETING_STATUS_INMEETING": View.IN_ROOM,
    "MEETING_STATUS_LOCKED": View.IN_ROOM,
    "MEETING_STATUS_UNLOCKED": View.IN_ROOM,
    "MEETING_STATUS_WEBINAR_PROMOTE": View.IN_ROOM,
    "MEETING_STATUS_WEBINAR_DEPROMOTE": View.IN_ROOM,
    "MEETING_STATUS_RECONNECTING": View.JOINING,
    "MEETING_STATUS_DISCONNECTING": View.JOINING,
}


class SdkRoom:
    """Implements `bot.platforms.room.Room`. `url` is the meeting's link, with its passcode."""

    def __init__(
        self, sdk: Any, meeting: SdkMeeting, url: str, token: str, permission_seconds: float
    ) -> None:
        self.capabilities = CAPABILITIES
        self._sdk = sdk
        self._meeting = meeting
        self._url = url
        self._token = token
        self._permission_seconds = permission_seconds
        self._asked = False

    async def open(self) -> None:
        await self._meeting.start(self._token)

    async def ask_to_join(self, entry: Entry) -> None:
        self._asked = True
        self._meeting.join(self._url, entry)

    async def look(self) -> Sight:
        status, code = self._meeting.status, self._meeting.code
        if status == "MEETING_STATUS_FAILED":
            failure: MeetingError | None = join_failure(self._sdk, code)
            return Sight(View.OVER, f"{status} {code}", failure)
        if status == "MEETING_STATUS_ENDED":
            return Sight(View.OVER, f"{status} {code}", end_failure(self._sdk, code))
        if status == "MEETING_STATUS_IDLE":
            return Sight(View.JOINING if self._asked else View.PREJOIN, status)
        waits = status == "MEETING_STATUS_WAITINGFORHOST"
        return Sight(_VIEWS.get(status, View.LOADING), status, None, waits)

    async def settle_in(self) -> None:
        self._meeting.settle_in()
        await self._meeting.until_recording(self._permission_seconds)

    async def stop_incoming_video(self) -> bool:
        # None is received before somebody subscribes to it.
        return True

    async def send_chat(self, text: str) -> None:
        if len(text) > CHAT_LIMIT:
            message = f"The chat of Zoom takes {CHAT_LIMIT} characters; this has {len(text)}."
            raise BadInput(message)
        self._meeting.say(text)

    async def leave(self) -> None:
        with suppress(MeetingError):
            self._meeting.leave()

    async def pin(self, platform_id: str, display_name: str) -> None:  # noqa: ARG002
        _lacks("way to pin somebody")

    async def screenshot(self) -> bytes:
        _lacks("page to take a screenshot of")

    async def speak(self, media: Media, *, loop: bool) -> None:  # noqa: ARG002
        _lacks("microphone")

    async def show_image(self, media: Media) -> None:  # noqa: ARG002
        _lacks("camera")

    async def share_video(self, media: Media, *, loop: bool) -> None:  # noqa: ARG002
        _lacks("screen to share")

    async def stop_output(self) -> None:
        """Nothing is put out."""

    async def until_output_ends(self) -> None:
        """Nothing is put out."""

    async def tidy_output(self) -> None:
        """Nothing is put out."""


def _lacks(what: str) -> NoReturn:
    raise UnsupportedOnPlatform(f"A bot in Zoom's SDK has no {what}; the web client has.")
