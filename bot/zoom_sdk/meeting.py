"""One meeting in Zoom's SDK: its services, what they call back, and how the bot stands.

The SDK calls back in threads of its own. What a call holds is read at once, because the SDK may
free it, and everything else happens in the meeting's event loop.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

from bot.platforms.observations import ChatSeen, ParticipantSeen
from bot.platforms.room import Entry
from bot.zoom_sdk.failures import auth_failure, name_of, number_of
from bot.zoom_sdk.sound import Pcm
from core.clock import Clock, epoch_ms
from core.errors import BotFault, MeetingError, RecordingDisabled, RoomUnreachable
from core.platforms.zoom import ZOOM

log = logging.getLogger(__name__)

AUTH_SECONDS: Final = 30
DOMAIN: Final = "https://zoom.us"


@dataclass
class Ears:
    """Who is told, in the event loop: `heard` with a person's number, the others by name."""

    heard: Callable[[int, Pcm], None]
    roster: Callable[[], None]
    left: Callable[[int], None]
    chat: Callable[[ChatSeen], None]
    changed: Callable[[], None]


class SdkMeeting:
    """`status` is the name of the SDK's status, and `code` the number that came with it.

    `sdk` is the package, or what has its surface. `may_record`: None until the host has answered;
    `refusal`: what the SDK says when it does not record all the same.
    """

    def __init__(self, sdk: Any, ears: Ears, clock: Clock) -> None:
        self.status = "MEETING_STATUS_IDLE"
        self.code = 0
        self.may_record: bool | None = None
        self.refusal: MeetingError | None = None
        self._sdk = sdk
        self._ears = ears
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._signed_in: asyncio.Future[Any] = self._loop.create_future()
        self._answered = asyncio.Event()
        # The SDK holds what it calls, but does not keep it alive.
        self._kept: list[Any] = []
        self._auth: Any = None
        self._service: Any = None
        self._recording = False

    async def start(self, token: str) -> None:
        """Load the SDK and sign in as the app.

        Raises:
            MeetingError: it does not start, or the app is not let in.
        """
        sdk = self._sdk
        init = sdk.InitParam()
        init.strWebDomain = init.strSupportUrl = DOMAIN
        init.emLanguageID = sdk.SDK_LANGUAGE_ID.LANGUAGE_English
        init.enableLogByDefault = False
        init.enableGenerateDump = False
        self._check(sdk.InitSDK(init), "start")
        self._service = sdk.CreateMeetingService()
        self._listen(
            self._service,
            sdk.MeetingServiceEventCallbacks(onMeetingStatusChangedCallback=self._status_changed),
        )
        self._auth = sdk.CreateAuthService()
        self._listen(
            self._auth, sdk.AuthServiceEventCallbacks(onAuthenticationReturnCallback=self._authed)
        )
        context = sdk.AuthContext()
        context.jwt_token = token
        self._check(self._auth.SDKAuth(context), "sign in")
        try:
            async with asyncio.timeout(AUTH_SECONDS):
                result = await self._signed_in
        except TimeoutError:
            raise RoomUnreachable(f"Zoom did not answer the app within {AUTH_SECONDS} s.") from None
        if result != sdk.AUTHRET_SUCCESS:
            raise auth_failure(result)

    def join(self, url: str, entry: Entry) -> None:
        """Ask to be let in, silent and without a picture.

        Raises:
            BotFault: the link has no number, or the SDK refuses.
        """
        sdk, parts = self._sdk, urlsplit(url)
        room = ZOOM.room(parts)
        if room is None or not room.isdigit():
            raise BotFault("Zoom's SDK joins meetings by number only; this link has a name.")
        asked = sdk.JoinParam()
        asked.userType = sdk.SDKUserType.SDK_UT_WITHOUT_LOGIN
        guest = asked.param
        guest.meetingNumber = int(room)
        guest.userName = entry.display_name
        in_link = parse_qs(parts.query).get("pwd", [""])[0]
        guest.psw = entry.password or in_link
        guest.isVideoOff = True
        guest.isAudioOff = False
        guest.isMyVoiceInMix = False
        guest.isAudioRawDataStereo = False
        guest.eAudioRawdataSamplingRate = sdk.AudioRawdataSamplingRate.AudioRawdataSamplingRate_32K
        self._check(self._service.Join(asked), "join")

    def settle_in(self) -> None:
        """In the meeting: hear, watch who is there and what they write, and ask to record."""
        sdk, service = self._sdk, self._service
        people = service.GetMeetingParticipantsController()
        self._listen(
            people,
            sdk.MeetingParticipantsCtrlEventCallbacks(
                onUserJoinCallback=lambda _ids, _names: self._soon(self._ears.roster),
                onUserLeftCallback=lambda ids, _names: self._soon(self._gone, list(ids)),
                onUserNamesChangedCallback=lambda _ids: self._soon(self._ears.roster),
                onHostChangeNotificationCallback=lambda _id: self._soon(self._ears.roster),
            ),
        )
        chat = service.GetMeetingChatController()
        self._listen(chat, sdk.MeetingChatEventCallbacks(onChatMsgNotificationCallback=self._said))
        reminders = service.GetMeetingReminderController()
        self._listen(
            reminders, sdk.MeetingReminderEventCallbacks(onReminderNotifyCallback=self._reminded)
        )
        recording = service.GetMeetingRecordingController()
        self._listen(
            recording,
            sdk.MeetingRecordingCtrlEventCallbacks(
                onRecordPrivilegeChangedCallback=lambda may: self._soon(self._permitted, bool(may)),
                onLocalRecordingPrivilegeRequestStatusCallback=self._privilege_answered,
            ),
        )
        # Without this no samples come since version 6.3.5 of the SDK.
        service.GetMeetingAudioController().JoinVoip()
        if recording.CanStartRawRecording() == sdk.SDKERR_SUCCESS:
            self._permitted(True)
        else:
            self._check(recording.RequestLocalRecordingPrivilege(), "ask the host to record")
        self._ears.roster()

    async def until_recording(self, seconds: float) -> None:
        """Until the host lets the bot record.

        Raises:
            RecordingDisabled: they do not, or say nothing for so long.
        """
        try:
            async with asyncio.timeout(seconds):
                await self._answered.wait()
        except TimeoutError:
            raise RecordingDisabled(
                f"The host did not answer the request to record within {seconds:g} s."
            ) from None
        if self.refusal is not None:
            raise self.refusal
        if not self.may_record:
            raise RecordingDisabled("The host does not let the bot record.")

    def people(self) -> list[ParticipantSeen]:
        """Who is in the meeting now, the bot included."""
        people = self._service.GetMeetingParticipantsController()
        found = []
        for number in people.GetParticipantsList() or ():
            user = people.GetUserByUserID(number)
            if user is None or user.IsInWaitingRoom():
                continue
            found.append(
                ParticipantSeen(
                    platform_id=str(user.GetUserID()),
                    display_name=str(user.GetUserName())[:1000],
                    is_self=bool(user.IsMySelf()),
                    is_host=bool(user.IsHost()),
                    muted=bool(user.IsAudioMuted()),
                )
            )
        return found

    def say(self, text: str) -> None:
        """A message to everybody.

        Raises:
            BotFault: the SDK refuses.
        """
        builder = self._service.GetMeetingChatController().GetChatMessageBuilder()
        builder.SetContent(text)
        builder.SetReceiver(0)
        builder.SetMessageType(self._sdk.SDKChatMessageType.To_All)
        sent = self._service.GetMeetingChatController().SendChatMsgTo(builder.Build())
        builder.Clear()
        self._check(sent, "write to the chat")

    def leave(self) -> None:
        """Out of the meeting, or away from its door."""
        if self._service is not None and self.status != "MEETING_STATUS_IDLE":
            self._service.Leave(self._sdk.LEAVE_MEETING)

    def stop(self) -> None:
        """End the SDK; it can be started again."""
        sdk = self._sdk
        if self._recording:
            sdk.GetAudioRawdataHelper().unSubscribe()
        if self._service is not None:
            sdk.DestroyMeetingService(self._service)
        if self._auth is not None:
            sdk.DestroyAuthService(self._auth)
        self._service = self._auth = None
        self._kept.clear()
        sdk.CleanUPSDK()

    # --- what the SDK says, in whatever thread -------------------------------------------------

    def _soon(self, handler: Callable[..., None], *args: Any) -> None:
        self._loop.call_soon_threadsafe(handler, *args)

    def _authed(self, result: Any) -> None:
        self._soon(self._let_in, result)

    def _status_changed(self, status: Any, code: int) -> None:
        self._soon(self._stands, name_of(status), number_of(code))

    def _said(self, message: Any, _content: Any) -> None:
        if not message.IsChatToAll():
            return
        seen = ChatSeen(
            message_id=str(message.GetMessageID())[:300],
            platform_id=str(message.GetSenderUserId()),
            display_name=str(message.GetSenderDisplayName())[:1000],
            text=str(message.GetContent())[:10_000],
            at_ms=float(message.GetTimeStamp()) * 1000,
        )
        self._soon(self._ears.chat, seen)

    def _reminded(self, content: Any, handler: Any) -> None:
        """Takes note that a meeting is recorded, and leaves to people what they should agree to."""
        if handler is None:
            return
        title = str(content.GetTitle())
        if handler.IsNeedExplicitConsent4AICustomDisclaimer():
            log.warning("Zoom asks for consent that only a person can give: %.200s", title)
            handler.Ignore()
        else:
            log.info("Zoom reminds the bot: %.200s", title)
            handler.Accept()

    def _privilege_answered(self, answer: Any) -> None:
        granted = answer == self._sdk.RequestLocalRecording_Granted
        if not granted:
            self._soon(self._permitted, False)

    def _one_way(self, data: Any, person: int) -> None:
        pcm = Pcm(bytes(data.GetBuffer()), data.GetSampleRate(), epoch_ms(self._clock.now()))
        self._soon(self._ears.heard, person, pcm)

    # --- in the event loop ---------------------------------------------------------------------

    def _let_in(self, result: Any) -> None:
        if not self._signed_in.done():
            self._signed_in.set_result(result)

    def _stands(self, status: str, code: int) -> None:
        log.info("zoom-sdk: %s (%d)", status, code)
        self.status, self.code = status, code
        self._ears.changed()

    def _gone(self, people: list[int]) -> None:
        for person in people:
            self._ears.left(person)
        self._ears.roster()

    def _permitted(self, may: bool) -> None:
        if may and not self._recording:
            try:
                self._record()
            except MeetingError as error:
                self.refusal, may = error, False
        self.may_record = may
        self._answered.set()

    def _record(self) -> None:
        sdk = self._sdk
        controller = self._service.GetMeetingRecordingController()
        self._check(controller.StartRawRecording(), "record")
        ear = sdk.ZoomSDKAudioRawDataDelegateCallbacks(
            onOneWayAudioRawDataReceivedCallback=self._one_way
        )
        self._kept.append(ear)
        self._check(sdk.GetAudioRawdataHelper().subscribe(ear, False), "hear the participants")
        self._recording = True

    def _listen(self, source: Any, callbacks: Any) -> None:
        self._kept.append(callbacks)
        self._check(source.SetEvent(callbacks), "listen")

    def _check(self, result: Any, what: str) -> None:
        if result != self._sdk.SDKERR_SUCCESS:
            raise BotFault(f"Zoom's SDK could not {what}: {name_of(result)}.")
