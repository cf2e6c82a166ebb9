"""A stand-in for the `zoom_meeting_sdk` package: the same names, calls and callbacks, no Zoom.

It calls back as the SDK does, from a thread of its own, and hands out objects whose values are good
only during the call. `surface.json` was read off the package: names that are not in it do not exist
here either, and where the package is installed a test compares the two.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum, IntEnum
from pathlib import Path
from queue import SimpleQueue
from types import SimpleNamespace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

CHUNK_SECONDS = 0.01
SELF = 16_778_240


SURFACE: Final[dict[str, Any]] = json.loads(Path(__file__).with_name("surface.json").read_text())
# These come as numbers, the others as members only.
_NUMBERS: Final = {"MeetingFailCode", "MeetingEndReason"}
ENUMS: Final[dict[str, Any]] = {
    name: IntEnum(name, members) if name in _NUMBERS else Enum(name, members)
    for name, members in SURFACE["enums"].items()
}
SUCCESS: Final = ENUMS["SDKError"].SDKERR_SUCCESS
REFUSED: Final = ENUMS["SDKError"].SDKERR_NO_PERMISSION
Status: Final = ENUMS["MeetingStatus"]


def _shape(name: str) -> type:
    """An object with the fields of the package's, and no others."""
    return type(name, (), {"__slots__": SURFACE["classes"][name]})


class _Callbacks:
    """Takes the callbacks that the package takes, by their names."""

    def __init__(self, name: str) -> None:
        self._known = set(SURFACE["callbacks"][name])

    def __call__(self, **callbacks: Callable[..., None]) -> SimpleNamespace:
        assert callbacks.keys() <= self._known
        return SimpleNamespace(**callbacks)


@dataclass
class _User:
    number: int
    name: str
    host: bool = False

    def GetUserID(self) -> int:  # noqa: N802
        return self.number

    def GetUserName(self) -> str:  # noqa: N802
        return self.name

    def IsMySelf(self) -> bool:  # noqa: N802
        return self.number == SELF

    def IsHost(self) -> bool:  # noqa: N802
        return self.host

    def IsAudioMuted(self) -> bool:  # noqa: N802
        return False

    def IsInWaitingRoom(self) -> bool:  # noqa: N802
        return False


class AudioRawData:
    def __init__(self, data: bytes, rate: int) -> None:
        self._data, self._rate = data, rate
        self.over = False

    def GetBuffer(self) -> bytes:  # noqa: N802
        assert not self.over, "the SDK has freed it"
        return self._data

    def GetSampleRate(self) -> int:  # noqa: N802
        assert not self.over, "the SDK has freed it"
        return self._rate


@dataclass
class _Message:
    """What arrives, and what the builder builds."""

    text: str = ""
    sender: int = SELF
    name: str = ""
    to_all: bool = True
    over: bool = False

    def GetContent(self) -> str:  # noqa: N802
        assert not self.over, "the SDK has freed it"
        return self.text

    def GetMessageID(self) -> str:  # noqa: N802
        return f"{{{self.sender}-{self.text}}}"

    def GetSenderUserId(self) -> int:  # noqa: N802
        return self.sender

    def GetSenderDisplayName(self) -> str:  # noqa: N802
        return self.name

    def GetTimeStamp(self) -> int:  # noqa: N802
        return int(time.time())

    def IsChatToAll(self) -> bool:  # noqa: N802
        return self.to_all


class _Builder:
    def __init__(self) -> None:
        self._message = _Message()

    def SetContent(self, text: str) -> _Builder:  # noqa: N802
        self._message.text = text
        return self

    def SetReceiver(self, number: int) -> _Builder:  # noqa: N802
        self._message.to_all = number == 0
        return self

    def SetMessageType(self, kind: Any) -> _Builder:  # noqa: N802
        assert kind is ENUMS["SDKChatMessageType"].To_All
        return self

    def Build(self) -> _Message:  # noqa: N802
        return self._message

    def Clear(self) -> _Builder:  # noqa: N802
        self._message = _Message()
        return self


class _Handler:
    def __init__(self, *, ai: bool) -> None:
        self._ai = ai
        self.answer: str | None = None

    def IsNeedExplicitConsent4AICustomDisclaimer(self) -> bool:  # noqa: N802
        return self._ai

    def Accept(self) -> Any:  # noqa: N802
        self.answer = "accepted"
        return SUCCESS

    def Ignore(self) -> Any:  # noqa: N802
        self.answer = "ignored"
        return SUCCESS


@dataclass
class _Source:
    """A service or controller of the package's class `name`: `calls` are its verbs."""

    name: str
    calls: dict[str, Callable[..., Any]] = field(default_factory=dict)
    events: Any = None

    def __post_init__(self) -> None:
        assert {*self.calls, "SetEvent"} <= {*SURFACE["classes"][self.name], "SetEvent"}

    def SetEvent(self, events: Any) -> Any:  # noqa: N802
        self.events = events
        return SUCCESS

    def __getattr__(self, name: str) -> Callable[..., Any]:
        try:
            return self.calls[name]
        except KeyError:
            raise AttributeError(name) from None


class StubSdk:
    """The package, and the meeting behind it. Methods in lower case are the test's."""

    def __init__(self) -> None:
        self.auth = ENUMS["AuthResult"].AUTHRET_SUCCESS
        # What happens when somebody asks to join.
        self.door: Callable[[], None] = self.admit
        self.may_record = True
        self.users: dict[int, _User] = {}
        self.said: list[str] = []
        self.asked: Any = None
        self.tokens: list[str] = []
        self.starts = self.stops = 0
        self.ear: Any = None
        self._status = Status.MEETING_STATUS_IDLE
        self._thread: threading.Thread | None = None
        self._due: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        done = lambda *_: SUCCESS  # noqa: E731
        self._auth = _Source("IAuthService", {"SDKAuth": self._sign_in})
        self.people = _Source(
            "IMeetingParticipantsController",
            {
                "GetParticipantsList": lambda: list(self.users),
                "GetUserByUserID": self.users.get,
            },
        )
        self.chat = _Source(
            "IMeetingChatController",
            {"GetChatMessageBuilder": _Builder, "SendChatMsgTo": self._sent},
        )
        self.reminders = _Source("IMeetingReminderController")
        self.recording = _Source(
            "IMeetingRecordingController",
            {
                "CanStartRawRecording": self._can_record,
                "RequestLocalRecordingPrivilege": done,
                "StartRawRecording": self._can_record,
            },
        )
        self._audio = _Source("IMeetingAudioController", {"JoinVoip": done})
        self._service = _Source(
            "IMeetingService",
            {
                "Join": self._join,
                "Leave": self._leave,
                "GetMeetingParticipantsController": lambda: self.people,
                "GetMeetingChatController": lambda: self.chat,
                "GetMeetingReminderController": lambda: self.reminders,
                "GetMeetingRecordingController": lambda: self.recording,
                "GetMeetingAudioController": lambda: self._audio,
            },
        )
        self._helper = _Source(
            "IZoomSDKAudioRawDataHelper", {"subscribe": self._subscribe, "unSubscribe": done}
        )
        members = {one.name: one for kind in ENUMS.values() for one in kind}
        vars(self).update({name: members[name] for name in SURFACE["exported"]})
        vars(self).update({name: _Callbacks(name) for name in SURFACE["callbacks"]})
        vars(self).update(ENUMS)

    # The package's

    InitParam = _shape("InitParam")
    AuthContext = _shape("AuthContext")

    @staticmethod
    def JoinParam() -> Any:  # noqa: N802
        asked = _shape("JoinParam")()
        asked.param = _shape("JoinParam4WithoutLogin")()
        return asked

    def __getattr__(self, name: str) -> Any:
        # Only for what is not there; and so that type checkers let the rest pass.
        raise AttributeError(name)

    def InitSDK(self, init: Any) -> Any:  # noqa: N802
        assert init.strWebDomain == "https://zoom.us"
        self.starts += 1
        self._thread = threading.Thread(target=self._call_back, name="zoom", daemon=True)
        self._thread.start()
        return SUCCESS

    def CleanUPSDK(self) -> Any:  # noqa: N802
        self.stops += 1
        self._due.put(None)
        if self._thread is not None:
            self._thread.join(10)
        return SUCCESS

    def CreateMeetingService(self) -> _Source:  # noqa: N802
        return self._service

    def CreateAuthService(self) -> _Source:  # noqa: N802
        return self._auth

    def DestroyMeetingService(self, service: _Source) -> Any:  # noqa: N802
        assert service is self._service
        return SUCCESS

    def DestroyAuthService(self, service: _Source) -> Any:  # noqa: N802
        assert service is self._auth
        return SUCCESS

    def GetAudioRawdataHelper(self) -> _Source:  # noqa: N802
        return self._helper

    # The test's

    def soon(self, call: Callable[[], None]) -> None:
        """In the SDK's thread."""
        self._due.put(call)

    def stands(self, status: Any, code: int = 0) -> None:
        def tell() -> None:
            self._status = status
            self._service.events.onMeetingStatusChangedCallback(status, code)

        self.soon(tell)

    def admit(self) -> None:
        self.users[SELF] = _User(SELF, str(self.asked.param.userName))
        self.stands(Status.MEETING_STATUS_INMEETING)

    def comes(self, number: int, name: str, *, host: bool = False) -> None:
        self.users[number] = _User(number, name, host)
        if self.people.events is not None:
            self.soon(lambda: self.people.events.onUserJoinCallback([number], name))

    def goes(self, number: int) -> None:
        name = self.users.pop(number).name
        self.soon(lambda: self.people.events.onUserLeftCallback([number], name))

    def writes(self, number: int, text: str, *, to_all: bool = True) -> None:
        message = _Message(text, number, self.users[number].name, to_all)

        def tell() -> None:
            self.chat.events.onChatMsgNotificationCallback(message, None)
            message.over = True

        self.soon(tell)

    def reminds(self, *, ai: bool = False) -> _Handler:
        handler = _Handler(ai=ai)
        content = SimpleNamespace(GetTitle=lambda: "This meeting is being recorded")
        self.soon(lambda: self.reminders.events.onReminderNotifyCallback(content, handler))
        return handler

    def permits(self) -> None:
        self.may_record = True
        self.soon(lambda: self.recording.events.onRecordPrivilegeChangedCallback(True))

    def refuses(self, how: Any) -> None:
        events = self.recording.events
        self.soon(lambda: events.onLocalRecordingPrivilegeRequestStatusCallback(how))

    def speak(self, sounds: dict[int, NDArray[np.int16]], rate: int = 32_000) -> None:
        """Everybody's samples in steps of 10 ms, at the speed of the clock; blocks."""
        size = round(rate * CHUNK_SECONDS)
        began = time.monotonic()
        longest = max(len(sound) for sound in sounds.values())
        for step, at in enumerate(range(0, longest, size)):
            ahead = began + step * CHUNK_SECONDS - time.monotonic()
            if ahead > 0:
                threading.Event().wait(ahead)
            for number, sound in sounds.items():
                piece = sound[at : at + size]
                if len(piece) and np.any(piece):
                    data = AudioRawData(piece.tobytes(), rate)
                    self.ear.onOneWayAudioRawDataReceivedCallback(data, number)
                    data.over = True

    # Inside

    def _call_back(self) -> None:
        while (call := self._due.get()) is not None:
            call()

    def _sign_in(self, context: Any) -> Any:
        self.tokens.append(context.jwt_token)
        self.soon(lambda: self._auth.events.onAuthenticationReturnCallback(self.auth))
        return SUCCESS

    def _join(self, asked: Any) -> Any:
        self.asked = asked
        self.stands(Status.MEETING_STATUS_CONNECTING)
        self.door()
        return SUCCESS

    def _leave(self, command: Any) -> Any:
        assert command is ENUMS["LeaveMeetingCmd"].LEAVE_MEETING
        self.users.pop(SELF, None)
        self._status = Status.MEETING_STATUS_IDLE
        return SUCCESS

    def _can_record(self) -> Any:
        return SUCCESS if self.may_record else REFUSED

    def _sent(self, message: _Message) -> Any:
        assert message.to_all
        self.said.append(message.text)
        return SUCCESS

    def _subscribe(self, ear: Any, interpreters: bool) -> Any:
        assert not interpreters
        self.ear = ear
        return SUCCESS
