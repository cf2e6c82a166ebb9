"""Posts what is in kept mails to the API, until it has taken it (API-21)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Container, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final, Protocol

import httpx

from core.clock import Clock
from core.errors import Unavailable
from core.invites.refusals import Reason
from intake.mail import Mail, MailInvite, read_mail, refused
from intake.spool import Received, Spool

log = logging.getLogger(__name__)

PATH: Final = "/api/v1/intake/calendar-invite"
TIMEOUT_SECONDS: Final = 30.0
FIRST_WAIT_SECONDS: Final = 2.0
LONGEST_WAIT_SECONDS: Final = 300.0
POLL_SECONDS: Final = 0.5


CANNOT_READ: Final = (
    "The invite could not be read. Create the event anew, or paste the meeting's link into its "
    "location, and invite the bot again."
)


@dataclass(frozen=True)
class Outcome:
    """What the API said of one invite. `coming`: whether a bot will be there."""

    invite: MailInvite
    accepted: bool
    reason: str | None
    message: str | None
    coming: bool


class Refused(Unavailable):
    """The API is there and does not take this one now."""


class Answers(Protocol):
    async def answer(self, mail: Mail, received: Received, outcomes: Sequence[Outcome]) -> None:
        """Tell people what became of their mail."""
        ...


@dataclass
class _Wait:
    """How long a mail waits that the API has not taken, and until when (monotonic)."""

    until: float
    seconds: float


class Poster:
    """Takes mails from the spool, one after the other, in order.

    One that the API does not take waits by itself, longer each time; the others go on.
    """

    def __init__(
        self, spool: Spool, client: httpx.AsyncClient, answers: Answers, clock: Clock, *, zone: str
    ) -> None:
        self._spool = spool
        self._client = client
        self._answers = answers
        self._clock = clock
        self._zone = zone
        self._waits: dict[str, _Wait] = {}

    async def run(self) -> None:
        """Until cancelled; while the API is away the wait grows."""
        wait = FIRST_WAIT_SECONDS
        while True:
            now = self._clock.monotonic()
            waiting = {name for name, one in self._waits.items() if one.until > now}
            try:
                done = await self.drain(but=waiting)
                wait = FIRST_WAIT_SECONDS
            except Refused as error:
                log.warning("a mail waits: %s", error.message)
                wait, done = FIRST_WAIT_SECONDS, 0
            except Unavailable as error:
                log.warning("mails wait: %s", error.message)
                await self._clock.sleep(wait)
                wait = min(wait * 2, LONGEST_WAIT_SECONDS)
                continue
            if not done:
                await self._clock.sleep(POLL_SECONDS)

    async def drain(self, *, but: Container[str] = ()) -> int:
        """Post everything that waits but some; how many mails that was.

        Raises:
            Unavailable: the API does not take it now; the mails stay.
        """
        names = [name for name in await asyncio.to_thread(self._spool.names) if name not in but]
        later: Refused | None = None
        for name in names:
            received = await asyncio.to_thread(self._spool.get, name)
            mail = await asyncio.to_thread(read_mail, received.raw, zone=self._zone)
            if received.refusal is not None:
                mail = refused(mail, received.refusal)
            try:
                outcomes = [await self._post(mail, received, invite) for invite in mail.invites]
            except Refused as error:
                # It must not keep back the mails behind it.
                later = error
                self._put_off(name)
                continue
            await self._answered(mail, received, outcomes)
            _log_outcome(mail, outcomes)
            await asyncio.to_thread(self._spool.done, name)
            self._waits.pop(name, None)
        if later is not None:
            raise later
        return len(names)

    def _put_off(self, name: str) -> None:
        known = self._waits.get(name)
        seconds = min(known.seconds * 2, LONGEST_WAIT_SECONDS) if known else FIRST_WAIT_SECONDS
        self._waits[name] = _Wait(self._clock.monotonic() + seconds, seconds)

    async def _answered(self, mail: Mail, received: Received, outcomes: Sequence[Outcome]) -> None:
        try:
            await self._answers.answer(mail, received, outcomes)
        except Exception:
            # People may call themselves anything; the mails behind theirs wait to be read.
            log.exception("an answer was not sent")

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
            jobs = [one["action"] for one in told.get("jobs", [])]
            # All that came of it may be that bots were called off.
            coming = told["accepted"] and not (jobs and set(jobs) == {"cancelled"})
            return Outcome(invite, told["accepted"], told["ignoredReason"], told["message"], coming)
        if answer.status_code in (400, 413):
            log.warning("the API refused an invite: %s", answer.text[:500])
            return Outcome(invite, False, Reason.UNREADABLE, CANNOT_READ, coming=False)
        raise Refused(f"The API answered {answer.status_code}.")


def _log_outcome(mail: Mail, outcomes: Sequence[Outcome]) -> None:
    """For the operator who is asked why no bot came; a mail is named by its id only (CV-15)."""
    said = ["accepted" if one.accepted else f"not accepted ({one.reason})" for one in outcomes]
    log.info("mail %r: %s", mail.message_id or "", ", ".join(said) or "no invite")
