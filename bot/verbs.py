"""What a bot in the room does when it is told (API-04…API-14, design.md D3).

One command after another, each within its time. A verb never ends the stay: what goes wrong is
its answer. What people would notice twice is begun only after the job store said that nobody has
begun it before.
"""

from __future__ import annotations

import asyncio
import logging
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final, Never

from playwright.async_api import Error

from bot.control import Command, Outcome, Verb
from bot.hearing import Answer, Commands
from bot.news import RoomNews
from bot.objects import JobObjects
from bot.payloads import Message, Output, Whom, read_payload
from bot.platforms.media import Media
from bot.platforms.room import Room
from bot.roster import Roster
from bot.switching import RecordingSwitch
from core.clock import Clock, rfc3339
from core.errors import (
    BadInput,
    MeetbotError,
    NotFound,
    StaleAttempt,
    UnsupportedOnPlatform,
)
from core.jobs.verbs import ONCE
from core.recordings.recording import Participant

log = logging.getLogger(__name__)

VERB_SECONDS: Final = 15.0
# Fetching and decoding what is to be said or shown may take longer.
OUTPUT_SECONDS: Final = 60.0

# What is known of a verb that ran out of time; those that are done once may have been done.
_LATE: Final = {True: Outcome.UNKNOWN, False: Outcome.REFUSED}

Deed = Callable[[Room, Command], Awaitable[Mapping[str, Any] | None]]


class Performer:
    """Lives as long as the session; `perform` runs while the bot is in a room."""

    def __init__(
        self,
        commands: Commands,
        switch: RecordingSwitch,
        roster: Roster,
        news: RoomNews,
        objects: JobObjects,
        clock: Clock,
    ) -> None:
        self._commands = commands
        self._switch = switch
        self._roster = roster
        self._consent = news.consent
        self._objects = objects
        self._clock = clock
        # What is said or shown is begun and ended by one at a time.
        self._output = asyncio.Lock()
        # What the command of now is to say or show.
        self._fetched: asyncio.Task[Media] | None = None
        self._deeds: dict[Verb, Deed] = {
            Verb.PAUSE: lambda _room, _command: switch.pause(),
            Verb.RESUME: lambda _room, _command: switch.resume(),
            Verb.STOP: lambda _room, _command: switch.stop(),
            Verb.START: lambda _room, _command: switch.start(),
            Verb.PIN: self._pin,
            Verb.CHAT: self._chat,
            Verb.CONSENT: self._ask_consent,
            Verb.SCREENSHOT: self._screenshot,
            Verb.OUTPUT_MEDIA: self._put_out,
            Verb.STOP_OUTPUT_MEDIA: self._stop_output,
        }

    async def perform(self, room: Room) -> Never:
        """Do what is asked, one after another, until cancelled.

        Raises:
            StaleAttempt: another attempt holds the job.
        """
        tidying = asyncio.create_task(self._tidy(room), name="output")
        try:
            while True:
                command = await self._commands.next()
                try:
                    answer = await self._do(room, command)
                except asyncio.CancelledError:
                    # The room is gone; there may be another one.
                    self._commands.put_back(command)
                    raise
                if answer is not None:
                    await self._commands.answer(command, answer)
        finally:
            tidying.cancel()
            await asyncio.gather(tidying, return_exceptions=True)

    async def _do(self, room: Room, command: Command) -> Answer | None:
        """How it ended; None when the job store has answered itself."""
        deed = self._deeds.get(command.verb)
        if deed is None:
            return Answer(Outcome.REFUSED, f"This bot does not know {command.verb}.")
        once = command.verb in ONCE
        async with self._fetching(command):
            try:
                if once and not await self._commands.begin(command):
                    return None
            except StaleAttempt:
                raise
            except (MeetbotError, TimeoutError):
                words = "The job store did not answer, so nothing was done; ask again."
                return Answer(Outcome.REFUSED, words)
            return await self._try(deed, room, command, late=_LATE[once])

    @asynccontextmanager
    async def _fetching(self, command: Command) -> AsyncIterator[None]:
        """Have the media on its way while the job store is asked; nothing is done with it yet."""
        if command.verb is not Verb.OUTPUT_MEDIA:
            yield
            return
        fetched = self._fetched = asyncio.create_task(self._fetch(command), name="media")
        try:
            yield
        finally:
            self._fetched = None
            fetched.cancel()
            await asyncio.gather(fetched, return_exceptions=True)

    async def _fetch(self, command: Command) -> Media:
        output = read_payload(command, Output)
        return Media(await self._objects.fetch_media(output.key), output.mime_type)

    async def _try(self, deed: Deed, room: Room, command: Command, *, late: Outcome) -> Answer:
        seconds = OUTPUT_SECONDS if command.verb is Verb.OUTPUT_MEDIA else VERB_SECONDS
        try:
            async with asyncio.timeout(seconds):
                return Answer(Outcome.DONE, result=await deed(room, command))
        except StaleAttempt:
            raise
        except TimeoutError:
            return Answer(late, f"{command.verb} was not done within {seconds:g} s.")
        except MeetbotError as error:
            return Answer(Outcome.REFUSED, error.message)
        except Error as error:
            log.warning("The page did not do %s: %s", command.verb, error.message)
            reason = error.message.splitlines()[0][:200]
            return Answer(Outcome.REFUSED, f"The meeting page did not do it: {reason}")
        except Exception as error:
            # A fault of ours must not end the recording.
            log.exception("%s failed", command.verb)
            return Answer(Outcome.REFUSED, f"The bot failed at it: {type(error).__name__}.")

    async def _tidy(self, room: Room) -> None:
        """What has played to its end leaves its device as it was: off."""
        while room.capabilities.speak or room.capabilities.share_video:
            await room.until_output_ends()
            async with self._output:
                try:
                    await room.tidy_output()
                except (Error, MeetbotError) as error:
                    log.warning("A device could not be switched off: %s", error)

    # --- the verbs ----------------------------------------------------------------------------

    async def _chat(self, room: Room, command: Command) -> None:
        message = read_payload(command, Message).message
        _need(room.capabilities.chat, "chat")
        await room.send_chat(message)

    async def _ask_consent(self, room: Room, command: Command) -> None:
        question = read_payload(command, Message).message
        _need(room.capabilities.chat, "chat")
        # Listening begins first: the answer may be there before the page has told that it posted.
        self._consent.ask(question)
        try:
            await room.send_chat(question)
        except BaseException:
            self._consent.forget()
            raise

    async def _pin(self, room: Room, command: Command) -> None:
        whom = read_payload(command, Whom)
        _need(room.capabilities.pin, "pinning of participants")
        participant = self._present(whom)
        await room.pin(participant.platform_id, participant.display_name)

    def _present(self, whom: Whom) -> Participant:
        if whom.participant_id:
            found = tuple(one for one in self._roster.others if one.id == whom.participant_id)
        else:
            found = self._roster.called(whom.display_name or "")
        named = whom.participant_id or whom.display_name
        if not found:
            raise NotFound(f"Nobody in the room is {named!r}.")
        if len(found) > 1:
            raise BadInput(f"{len(found)} people are called {named!r}; say which by participantId.")
        return found[0]

    async def _screenshot(self, room: Room, command: Command) -> Mapping[str, Any]:
        _need(room.capabilities.screenshot, "screenshots")
        png = await room.screenshot()
        taken_at = self._clock.now()
        width, height = _png_size(png)
        return {
            "key": await self._objects.keep_screenshot(command.id, png),
            "width": width,
            "height": height,
            "takenAt": rfc3339(taken_at),
            "bytes": len(png),
        }

    async def _put_out(self, room: Room, command: Command) -> None:
        output = read_payload(command, Output)
        can = room.capabilities
        offered = {"audio": can.speak, "image": can.show_image, "video": can.share_video}
        _need(offered[output.kind], f"output of {output.kind}")
        media = await (self._fetched or self._fetch(command))
        async with self._output:
            if output.kind == "audio":
                await room.speak(media, loop=output.loop)
            elif output.kind == "image":
                await room.show_image(media)
            else:
                await room.share_video(media, loop=output.loop)

    async def _stop_output(self, room: Room, _command: Command) -> None:
        can = room.capabilities
        _need(can.speak or can.show_image or can.share_video, "output of media")
        async with self._output:
            await room.stop_output()


def _need(offered: bool, what: str) -> None:
    if not offered:
        raise UnsupportedOnPlatform(f"This meeting's platform has no {what}.")


def _png_size(png: bytes) -> tuple[int, int]:
    """Width and height from the header chunk, which every PNG begins with."""
    width, height = struct.unpack(">II", png[16:24])
    return int(width), int(height)
