"""A browser at the door or in the room, and what is still to be sent to it."""

from __future__ import annotations

import asyncio
import secrets
from dataclasses import dataclass, field
from typing import Final

from sandbox.messages import Over, Reason, ToPage
from sandbox.schemas import ParticipantView, Waiting

# A browser that does not read for so many messages is gone.
OUTBOX_LIMIT: Final = 1_000
SENTENCES: Final = {
    Reason.DENIED: "The host did not let you in.",
    Reason.KICKED: "The host removed you from the meeting.",
    Reason.ENDED: "It is over for everybody.",
    Reason.NOT_FOUND: "There is no meeting at this address. Check the link you were given.",
    Reason.FULL: "The meeting is full. Try again when somebody has left.",
    Reason.LEFT: "You have left the meeting.",
}


@dataclass(eq=False)
class Visitor:
    """`outbox` holds what the connection writes, in order; after an `Over` it hangs up."""

    display_name: str
    host: bool
    microphone: bool = False
    camera: bool = False
    screen: str | None = None
    pinned: str | None = None
    incoming_video: bool = True
    id: str = field(default_factory=lambda: f"p_{secrets.token_hex(5)}")
    outbox: asyncio.Queue[ToPage] = field(default_factory=lambda: asyncio.Queue(OUTBOX_LIMIT))
    gone: bool = False

    @property
    def view(self) -> ParticipantView:
        return ParticipantView(
            participant_id=self.id,
            display_name=self.display_name,
            host=self.host,
            kind="browser",
            microphone=self.microphone,
            camera=self.camera,
            screen=self.screen,
            pinned=self.pinned,
        )

    @property
    def waiting(self) -> Waiting:
        return Waiting(participant_id=self.id, display_name=self.display_name)

    def tell(self, message: ToPage) -> None:
        """Queue a message; a full queue is emptied for the farewell."""
        if self.gone:
            return
        try:
            self.outbox.put_nowait(message)
        except asyncio.QueueFull:
            self.dismiss(Reason.LEFT)

    def dismiss(self, reason: Reason, sentence: str | None = None) -> None:
        """Say goodbye; nothing is sent afterwards."""
        if self.gone:
            return
        if self.outbox.full():
            while not self.outbox.empty():
                self.outbox.get_nowait()
        self.outbox.put_nowait(Over(reason=reason, message=sentence or SENTENCES[reason]))
        self.gone = True
