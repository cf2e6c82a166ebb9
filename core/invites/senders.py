"""Who an invite is from, and whose team that is (CAL-05, design.md D24)."""

from __future__ import annotations

from dataclasses import dataclass

from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from core.accounts.models import Membership, User
from core.accounts.people import normal_address
from core.errors import BadInput
from core.invites.refusals import InviteRefused, Reason
from core.invites.settings import IntakeSettings


@dataclass(frozen=True)
class Proof:
    """What mail authentication found; `aligned_domain` is what it proved for From (RFC 7489)."""

    spf: str = "none"
    dkim: str = "none"
    dmarc: str = "none"
    aligned_domain: str | None = None

    def proves(self, address: str) -> bool:
        """Whether mail from `address` is from its domain."""
        if self.dmarc == "fail" or "pass" not in (self.spf, self.dkim) or not self.aligned_domain:
            return False
        domain, proven = address.rpartition("@")[2], self.aligned_domain.lower().rstrip(".")
        return "." in proven and (domain == proven or domain.endswith(f".{proven}"))


def responsible(
    sender: str | None, organizer: str | None, proof: Proof, settings: IntakeSettings
) -> str:
    """The address that an invite counts as being from.

    That is who sent it. The organizer counts where a calendar service that is known sent it.

    Raises:
        InviteRefused: nobody, or nobody who proved it.
    """
    address = _normal(sender)
    if settings.policy == "aligned" and not proof.proves(address):
        raise InviteRefused(
            Reason.UNVERIFIED_SENDER,
            "The mail does not prove that it is from its sender: sign it by DKIM, or send it from "
            "a server that SPF names, for the domain in From.",
        )
    if address in settings.calendar_services and (settings.policy == "off" or proof.dkim == "pass"):
        return _normal(organizer)
    return address


async def team_of(session: AsyncSession, address: str) -> str:
    """The first team of the person whose address this is, proven by their login.

    Raises:
        InviteRefused: nobody here has this address.
    """
    statement = (
        select(Membership.team_id)
        .join(User, col(User.id) == col(Membership.user_id))
        .where(User.email == address)
        .order_by(col(Membership.created_at), col(Membership.team_id))
        .limit(1)
    )
    team_id = (await session.exec(statement)).one_or_none()
    if team_id is None:
        raise InviteRefused(
            Reason.UNKNOWN_SENDER,
            "Nobody is known by the sender's address: log in once with it, or send the invite "
            "from the address you log in with.",
        )
    return team_id


def _normal(address: str | None) -> str:
    try:
        return normal_address(address or "")
    except BadInput:
        raise InviteRefused(
            Reason.UNKNOWN_SENDER, "The invite does not say by an e-mail address who it is from."
        ) from None
