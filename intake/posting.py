"""Posts what is in kept mails to the API, until it has taken it (API-21)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final, Protocol

import httpx

from core.clock import Clock
from core.errors import Unavailable
from intake.mail import Mail, MailInvite, read_mail
from intake.spool import Received, Spool

log = logging.getLogger(__name__)

PATH: Final = "/api/v1/intake/calendar-invite"
TIMEOUT_SECONDS: Final = 30.0
FIRST_WAIT_SECONDS: Final = 2.0
LONGEST_WAIT_SECONDS: Final = 300.0
POLL_SECONDS: Final = 0.5


@dataclass(frozen=True)
class Outcome:
    """What the API said of one invite."""

    invite: MailInvite
    accepted: bool
    reason: str | None
    message: str | None


class Refused(Unavailable):
    """The API is there and does not take this one now."""


class Answers(Protocol):
    async def answer(self, mail: Mail, received: Received, outcomes: Sequence[Outcome]) -> None:
        """Tell people what became of their mail. It never raises for what they sent."""
        ...


class Poster:
    """Takes mails from the spool, one after the other, in order."""

    def __init__(
        self, spool: Spool, client: httpx.AsyncClient, answers: Answers, clock: Clock, *, zone: str
    ) -> None:
        self._spool = spool
        self._client = client
        self._answers = answers
        self._clock = clock
        self._zone = zone

    async def run(self) -> None:
        """Until cancelled; while the API is away the wait grows."""
        wait = FIRST_WAIT_SECONDS
        while True:
            try:
                done = await self.drain()
                wait = FIRST_WAIT_SECONDS
            except Unavailable as error:
                log.warning("mails wait: %s", error.message)
                await self._clock.sleep(wait)
                wait = min(wait * 2, LONGEST_WAIT_SECONDS)
                continue
            if not done:
                await self._clock.sleep(POLL_SECONDS)

    async def drain(self) -> int:
        """Post everything that waits; how many mails that was.

        Raises:
            Unavailable: the API does not take it now; the mails stay.
        """
        names = await asyncio.to_thread(self._spool.names)
        later: Refused | None = None
        for name in names:
            received = await asyncio.to_thread(self._spool.get, name)
            mail = await asyncio.to_thread(read_mail, received.raw, zone=self._zone)
            try:
                outcomes = [await self._post(mail, received, invite) for invite in mail.invites]
            except Refused as refused:
                # It must not keep back the mails behind it.
                later = refused
                continue
            await self._answers.answer(mail, received, outcomes)
            await asyncio.to_thread(self._spool.done, name)
        if later is not None:
            raise later
        return len(names)

    async def _post(self, mail: Mail, received: Received, invite: MailInvite) -> Outcome:
        verdicts = asdict(received.verdicts)
        aligned = verdicts.pop("aligned_domain")
        body: dict[str, Any] = {
            "messageId": mail.message_id,
            "recipient": received.recipient,
            "method": invite.method,
            "uid": invite.uid,
            "rawIcs": invite.text,
            "sender": mail.sender,
            "envelopeFrom": received.envelope_from or None,
            "auth": {**verdicts, "alignedDomain": aligned},
        }
        try:
            answer = await self._client.post(PATH, json=body)
        except httpx.HTTPError as exc:
            raise Unavailable(f"The API was not reached ({type(exc).__name__}).") from exc
        if answer.status_code == 202:
            told = answer.json()
            return Outcome(invite, told["accepted"], told["ignoredReason"], told["message"])
        if answer.status_code in (400, 413):
            log.warning("the API refused an invite: %s", answer.text[:500])
            return Outcome(invite, accepted=False, reason="unreadable", message=None)
        raise Refused(f"The API answered {answer.status_code}.")
