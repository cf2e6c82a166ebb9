"""Column types that all tables share. Tables import this module, so it has no postponed types."""

from typing import Any, Final

from sqlalchemy import Column, DateTime, Enum, Numeric, String
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import SQLModel

# Constraints need names that migrations can refer to; set before any table is declared.
SQLModel.metadata.naming_convention = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s",
    "pk": "pk_%(table_name)s",
}


def timestamp(*, nullable: bool = False, index: bool = False) -> Column[Any]:
    """A moment with its time zone; UTC in and out."""
    return Column(DateTime(timezone=True), nullable=nullable, index=index)


# Marks columns for `core.sealing`.
SEALED: Final = "sealed"


def sealed(*, nullable: bool = False) -> Column[Any]:
    """What `SecretBox.seal` made; `meetbot-server rotate-keys` finds it here (design.md D21)."""
    return Column(String, nullable=nullable, info={SEALED: True})


def document(*, nullable: bool = False, name: str | None = None) -> Column[Any]:
    """A JSON document."""
    column_type = JSONB(none_as_null=True)
    if name is None:
        return Column(column_type, nullable=nullable)
    return Column(name, column_type, nullable=nullable)


def thousandths(*, nullable: bool = False) -> Column[Any]:
    """Money and hours: decimal, three places (CV-14)."""
    return Column(Numeric(14, 3), nullable=nullable)


def choice(kind: type[Any], *, nullable: bool = False) -> Column[Any]:
    """An enumeration stored by value; unknown values are refused on the way in."""
    return Column(
        Enum(
            kind,
            values_callable=lambda members: [member.value for member in members],
            native_enum=False,
            length=40,
        ),
        nullable=nullable,
    )
