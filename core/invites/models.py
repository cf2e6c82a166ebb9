"""What was invited to, and the jobs that came of it."""

from datetime import datetime

from sqlalchemy import UniqueConstraint
from sqlmodel import Field, SQLModel

from core.columns import sealed, timestamp


class Invitation(SQLModel, table=True):
    """One event, by its UID, as its sender last told it: all texts on it as one calendar.

    A cancelled one stays, so that an older text does not bring it back (CAL-07).
    """

    __tablename__ = "invitations"
    __table_args__ = (UniqueConstraint("team_id", "uid"),)

    id: str = Field(primary_key=True)
    team_id: str = Field(foreign_key="teams.id")
    uid: str
    # Who may change it (API-75).
    sender: str
    # The calendar, sealed: it says what people meet about.
    text: str = Field(sa_column=sealed())
    # Of the newest text.
    sequence: int
    stamped_at: datetime = Field(sa_column=timestamp())
    cancelled: bool = False
    # To here its occurrences have jobs; None: no others will come.
    planned_until: datetime | None = Field(
        default=None, sa_column=timestamp(nullable=True, index=True)
    )
    created_at: datetime = Field(sa_column=timestamp())
    updated_at: datetime = Field(sa_column=timestamp())


class InvitedMeeting(SQLModel, table=True):
    """One occurrence, by its original start, and its job; two invitations may share one."""

    __tablename__ = "invited_meetings"

    invitation_id: str = Field(foreign_key="invitations.id", primary_key=True)
    key: str = Field(primary_key=True)
    job_id: str = Field(foreign_key="jobs.id", index=True)
    starts_at: datetime = Field(sa_column=timestamp())
    # By its calendar, so that its calendar may bring it back; a person's own cancel stays.
    cancelled: bool = False
