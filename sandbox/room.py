"""One meeting: its lobby, its roster, its chat, and what hosts may do."""

from __future__ import annotations

import secrets
from collections import deque
from collections.abc import Mapping
from typing import Final

from core.clock import Clock, epoch_ms
from core.errors import BadInput, InvalidState, NotFound
from sandbox.doors import Doors
from sandbox.messages import (
    Captioned,
    InLobby,
    Joined,
    Left,
    LobbyChanged,
    PleaseMute,
    Reason,
    Said,
    Sending,
    Signal,
    ToPage,
    Updated,
    WantsVideo,
    Welcome,
)
from sandbox.schemas import (
    ChatMessage,
    HostAction,
    ParticipantView,
    RoomOptions,
    RoomState,
    RoomView,
    Waiting,
)
from sandbox.script import Script
from sandbox.stage import Camera, Stage
from sandbox.visitor import Visitor

CHAT_HISTORY: Final = 200


class Room:
    """All methods are synchronous: they change the state and queue messages to the browsers."""

    def __init__(
        self,
        options: RoomOptions,
        clock: Clock,
        script: Script | None = None,
        camera: Camera | None = None,
    ) -> None:
        self.doors = Doors()
        self.options = options
        self.state = RoomState.OPEN
        self._clock = clock
        self._created_at_ms = epoch_ms(clock.now())
        self._ends_at = clock.monotonic() + options.max_seconds
        self._present: dict[str, Visitor] = {}
        self._waiting: dict[str, Visitor] = {}
        self._chat: deque[ChatMessage] = deque(maxlen=CHAT_HISTORY)
        self.stage = self._set_stage(script, camera) if script else None

    def _set_stage(self, script: Script, camera: Camera | None) -> Stage:
        return Stage(
            script,
            camera if self.options.video else None,
            self._clock,
            loop=self.options.loop and not self.options.ends_when_script_ends,
            captions=self.options.captions,
            announce=self._heard,
            tell=self._tell,
            finished=self._script_over,
        )

    # Coming and going.

    def enter(self, visitor: Visitor) -> None:
        """Somebody pressed join: into the room, into the lobby, or away."""
        if self.state is RoomState.ENDED:
            visitor.dismiss(Reason.ENDED)
        elif len(self._present) + len(self._waiting) >= self.options.max_guests:
            visitor.dismiss(Reason.FULL)
        elif self.options.lobby and not visitor.host:
            self._waiting[visitor.id] = visitor
            visitor.tell(InLobby())
            self._lobby_changed()
        else:
            self._admit(visitor)

    def _admit(self, visitor: Visitor) -> None:
        self._announce(Joined(participant=visitor.view))
        self._present[visitor.id] = visitor
        visitor.tell(
            Welcome(
                participant_id=visitor.id,
                host=visitor.host,
                captions=self.options.captions,
                incoming_video_toggle=self.options.incoming_video_toggle,
                participants=self._participants(),
                chat=tuple(self._chat),
                without_video=tuple(v.id for v in self._present.values() if not v.incoming_video),
            )
        )
        if visitor.host:
            visitor.tell(LobbyChanged(waiting=self._lobby()))
        if self.stage:
            self.stage.viewer_in(visitor.id)

    def leave(self, visitor: Visitor, reason: Reason = Reason.LEFT) -> None:
        """The visitor is out, by its own wish, by a lost connection, or as a host decided."""
        visitor.dismiss(reason)
        if self._waiting.pop(visitor.id, None):
            self._lobby_changed()
        if self._present.pop(visitor.id, None):
            self._announce(Left(participant_id=visitor.id))
            if self.stage:
                self.stage.viewer_out(visitor.id)

    def end(self, sentence: str | None = None) -> None:
        """Over for everybody."""
        self.state = RoomState.ENDED
        for visitor in [*self._present.values(), *self._waiting.values()]:
            visitor.dismiss(Reason.ENDED, sentence)
            if self.stage:
                self.stage.viewer_out(visitor.id)
        self._present.clear()
        self._waiting.clear()

    def end_if_due(self) -> None:
        if self.state is RoomState.OPEN and self._clock.monotonic() >= self._ends_at:
            self.end("The meeting has ended: its time limit is reached.")

    def _script_over(self) -> None:
        if self.options.ends_when_script_ends:
            self.end()

    # What people do.

    def say(self, visitor: Visitor, text: str) -> None:
        if visitor.id in self._present:
            message = ChatMessage(
                message_id=f"m_{secrets.token_hex(5)}",
                participant_id=visitor.id,
                display_name=visitor.display_name,
                text=text,
                at=epoch_ms(self._clock.now()),
            )
            self._heard(Said(message=message))

    def sending(self, visitor: Visitor, change: Sending) -> None:
        visitor.microphone, visitor.camera = change.microphone, change.camera
        visitor.screen = change.screen
        if visitor.id in self._present:
            self._announce(Updated(participant=visitor.view))

    def pin(self, visitor: Visitor, participant_id: str | None) -> None:
        """What somebody's page keeps large is told to all, so that it can be seen from outside."""
        present = {one.participant_id for one in self._participants()}
        visitor.pinned = participant_id if participant_id in present else None
        if visitor.id in self._present:
            self._announce(Updated(participant=visitor.view))

    def incoming_video(self, visitor: Visitor, on: bool) -> None:
        """Whether this browser wants cameras sent to it; shared screens are sent regardless."""
        if not self.options.incoming_video_toggle or visitor.id not in self._present:
            return
        visitor.incoming_video = on
        for other in self._present.values():
            if other is not visitor:
                other.tell(WantsVideo(participant_id=visitor.id, on=on))
        if self.stage:
            self.stage.incoming_video(visitor.id, on)

    def signal(self, visitor: Visitor, signal: Signal) -> None:
        """Pass on to a browser with the sender's id in place, or hand to a scripted peer."""
        if visitor.id not in self._present:
            return
        if self.stage and signal.peer in self.stage:
            self.stage.hear(visitor.id, signal)
        elif signal.peer != visitor.id:
            self._tell(signal.peer, signal.model_copy(update={"peer": visitor.id}))

    # What hosts do.

    def act(self, action: HostAction, participant_id: str | None) -> None:
        """One host action.

        Raises:
            InvalidState: the room is over.
            NotFound: nobody with that id.
            BadInput: kick needs an id.
        """
        if self.state is RoomState.ENDED:
            raise InvalidState("The room has ended; make a new one.")
        if action is HostAction.END:
            self.end()
        elif action in {HostAction.ADMIT, HostAction.DENY}:
            for visitor in self._chosen(self._waiting, participant_id):
                self._decide(visitor, action)
        elif action is HostAction.KICK:
            if participant_id is None:
                raise BadInput("Say whom to kick: give participantId.")
            self._kick(participant_id)
        else:
            self._mute(participant_id)

    def _decide(self, visitor: Visitor, action: HostAction) -> None:
        if action is HostAction.DENY:
            self.leave(visitor, Reason.DENIED)
        else:
            del self._waiting[visitor.id]
            self._lobby_changed()
            self._admit(visitor)

    def _kick(self, participant_id: str) -> None:
        if self.stage and participant_id in self.stage:
            self.stage.remove(participant_id)
            self._announce(Left(participant_id=participant_id))
        else:
            for visitor in self._chosen(self._present, participant_id):
                self.leave(visitor, Reason.KICKED)

    def _mute(self, participant_id: str | None) -> None:
        """Scripted peers fall silent; a browser's own page turns its microphone off."""
        scripted = self.stage.participants if self.stage else ()
        for actor in scripted:
            if self.stage and participant_id in {None, actor.participant_id}:
                self._announce(Updated(participant=self.stage.mute(actor.participant_id)))
        if participant_id not in {actor.participant_id for actor in scripted}:
            for visitor in self._chosen(self._present, participant_id):
                visitor.tell(PleaseMute())

    def _chosen(self, among: Mapping[str, Visitor], participant_id: str | None) -> list[Visitor]:
        if participant_id is None:
            return list(among.values())
        if participant_id not in among:
            raise NotFound(f"Nobody here has the id {participant_id!r} (any more).")
        return [among[participant_id]]

    # Telling.

    def _heard(self, message: Said | Captioned) -> None:
        """Chat is kept for those who come later."""
        if isinstance(message, Said):
            self._chat.append(message.message)
        self._announce(message)

    def _announce(self, message: ToPage) -> None:
        for visitor in list(self._present.values()):
            visitor.tell(message)

    def _tell(self, visitor_id: str, message: ToPage) -> None:
        if visitor_id in self._present:
            self._present[visitor_id].tell(message)

    def beat(self, message: ToPage) -> None:
        for visitor in [*self._present.values(), *self._waiting.values()]:
            visitor.tell(message)

    def _lobby(self) -> tuple[Waiting, ...]:
        return tuple(visitor.waiting for visitor in self._waiting.values())

    def _lobby_changed(self) -> None:
        for visitor in self._present.values():
            if visitor.host:
                visitor.tell(LobbyChanged(waiting=self._lobby()))

    def _participants(self) -> tuple[ParticipantView, ...]:
        scripted = self.stage.participants if self.stage else ()
        return (*scripted, *(visitor.view for visitor in self._present.values()))

    @property
    def view(self) -> RoomView:
        return RoomView(
            room_id=self.doors.room_id,
            state=self.state,
            created_at_ms=self._created_at_ms,
            options=self.options,
            participants=self._participants() if self.state is RoomState.OPEN else (),
            lobby=self._lobby(),
            chat=tuple(self._chat),
            timeline=self.stage.timeline if self.stage else (),
            key_frame_requests=self.stage.key_frame_requests if self.stage else 0,
        )

    async def close(self) -> None:
        """End and release the scripted peers."""
        if self.state is RoomState.OPEN:
            self.end()
        if self.stage:
            await self.stage.close()
