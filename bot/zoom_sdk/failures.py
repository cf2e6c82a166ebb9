"""What the SDK's numbers mean to a customer (FC-01). The names are those of Zoom's headers."""

from __future__ import annotations

from typing import Any, Final

from core.errors import (
    AuthFailure,
    BotFault,
    HostDenied,
    MeetingEnded,
    MeetingError,
    MeetingNotFound,
    RemovedFromMeeting,
    RoomLocked,
    RoomUnreachable,
    WaitingForHost,
)

INACCESSIBLE: Final = "room_inaccessible"
REQUIRES_ACCOUNT: Final = "zoom_requires_rtms"

_AUTH: Final[dict[str, type[MeetingError]]] = {
    "AUTHRET_NETWORKISSUE": RoomUnreachable,
    "AUTHRET_OVERTIME": RoomUnreachable,
    "AUTHRET_SERVICE_BUSY": RoomUnreachable,
    # Seen without a network.
    "AUTHRET_UNKNOWN": RoomUnreachable,
    "AUTHRET_CLIENT_INCOMPATIBLE": BotFault,
}
_JOIN: Final[dict[str, tuple[type[MeetingError], str | None]]] = {
    "MEETING_FAIL_CONNECTION_ERR": (RoomUnreachable, None),
    "MEETING_FAIL_RECONNECT_ERR": (RoomUnreachable, None),
    "MEETING_FAIL_MMR_ERR": (RoomUnreachable, None),
    "MEETING_FAIL_NO_MMR": (RoomUnreachable, None),
    "MEETING_FAIL_SESSION_ERR": (RoomUnreachable, None),
    "MEETING_FAIL_CANNOT_EMIT_WEBREQUEST": (RoomUnreachable, None),
    "MEETING_FAIL_PASSWORD_ERR": (AuthFailure, INACCESSIBLE),
    "MEETING_FAIL_MEETING_NOT_START": (WaitingForHost, None),
    "MEETING_FAIL_MEETING_OVER": (MeetingEnded, None),
    "MEETING_FAIL_MEETING_NOT_EXIST": (MeetingNotFound, None),
    "CONF_FAIL_VANITY_NOT_EXIST": (MeetingNotFound, None),
    "MEETING_FAIL_MEETING_USER_FULL": (RoomLocked, None),
    "MEETING_FAIL_CONFLOCKED": (RoomLocked, None),
    "MEETING_FAIL_MEETING_RESTRICTED": (HostDenied, None),
    "MEETING_FAIL_MEETING_RESTRICTED_JBH": (HostDenied, None),
    "MEETING_FAIL_BLOCKED_BY_ACCOUNT_ADMIN": (HostDenied, None),
    "MEETING_FAIL_HOST_DISALLOW_OUTSIDE_USER_JOIN": (HostDenied, None),
    "CONF_FAIL_REMOVED_BY_HOST": (RemovedFromMeeting, None),
    "MEETING_FAIL_ENFORCE_LOGIN": (AuthFailure, None),
    "MEETING_FAIL_NEED_SIGN_IN_FOR_PRIVATE_MEETING": (AuthFailure, None),
    "MEETING_FAIL_APP_CAN_NOT_ANONYMOUS_JOIN_MEETING": (AuthFailure, REQUIRES_ACCOUNT),
    "MEETING_FAIL_UNABLE_TO_JOIN_EXTERNAL_MEETING": (AuthFailure, REQUIRES_ACCOUNT),
    "MEETING_FAIL_FORBID_TO_JOIN_INTERNAL_MEETING": (AuthFailure, REQUIRES_ACCOUNT),
    "MEETING_FAIL_USER_LEVEL_TOKEN_NOT_HAVE_HOST_ZAK_OBF": (AuthFailure, REQUIRES_ACCOUNT),
    "MEETING_FAIL_AUTHORIZED_USER_NOT_INMEETING": (AuthFailure, REQUIRES_ACCOUNT),
    "MEETING_FAIL_CLIENT_INCOMPATIBLE": (BotFault, None),
}
_END: Final[dict[str, type[MeetingError]]] = {
    "EndMeetingReason_KickByHost": RemovedFromMeeting,
}


def auth_failure(result: Any) -> MeetingError:
    """For an `AuthResult` other than success."""
    name = name_of(result)
    kind = _AUTH.get(name, AuthFailure)
    return kind(
        f"Zoom did not let the app in ({name}); look at MEETBOT_ZOOM__CLIENT_ID and "
        "MEETBOT_ZOOM__CLIENT_SECRET."
        if kind is AuthFailure
        else f"Zoom did not let the app in ({name})."
    )


def join_failure(sdk: Any, code: int) -> MeetingError:
    """For the number that comes with the status `failed`."""
    name = next(
        (name for name in _JOIN if hasattr(sdk, name) and number_of(getattr(sdk, name)) == code),
        None,
    )
    if name is None:
        return BotFault(f"Zoom's SDK could not join: error {code}.")
    kind, adapter_error = _JOIN[name]
    prefix = f"{adapter_error}: " if adapter_error else ""
    return kind(f"{prefix}Zoom's SDK says {name}.", adapter_error)


def end_failure(sdk: Any, code: int) -> MeetingError | None:
    """For the number that comes with the status `ended`; None when the meeting is just over."""
    for name, kind in _END.items():
        if number_of(getattr(sdk.MeetingEndReason, name)) == code:
            return kind(f"Zoom's SDK says {name}.")
    return None


def name_of(value: Any) -> str:
    """The member's name in Zoom's headers."""
    return str(getattr(value, "name", value))


def number_of(value: Any) -> int:
    """The binding's enums are not all of them numbers."""
    return int(getattr(value, "value", value))
