"""What all wire shapes share: spellings in, spellings out (CV-02 to CV-05)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, ClassVar, Final

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    PlainSerializer,
    model_validator,
)
from pydantic.alias_generators import to_camel
from pydantic_core import PydanticCustomError

from core.clock import rfc3339

RFC3339: Final = re.compile(r"\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}")


def _text_moment(value: object) -> object:
    """Numbers are no timestamps here, though the parser would take them."""
    if isinstance(value, str) and not RFC3339.match(value):
        raise PydanticCustomError(
            "invalid_timestamp", "Write the time as 2026-05-09T14:00:00Z (RFC 3339)."
        )
    if not isinstance(value, str | datetime):
        raise PydanticCustomError(
            "invalid_timestamp", "A time is a string such as 2026-05-09T14:00:00Z."
        )
    return value


def _printable(value: str) -> str:
    if not value.isprintable():
        raise PydanticCustomError(
            "not_printable", "Only printable characters are allowed; remove control characters."
        )
    return value


MomentIn = Annotated[AwareDatetime, BeforeValidator(_text_moment)]
MomentOut = Annotated[datetime, PlainSerializer(rfc3339, return_type=str)]
Printable = Annotated[str, AfterValidator(_printable)]
# Money and hours go out as JSON numbers (CV-14); three places survive the conversion.
Thousandths = Annotated[Decimal, PlainSerializer(float, return_type=float)]


class Response(BaseModel):
    """A shape that goes out, in camelCase; absent values are null, never missing."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True)


class Request(BaseModel):
    """A shape that comes in: any spelling of a field, unknown fields ignored (CV-03, CV-04).

    `ALSO` lists further spellings by field name.
    """

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="ignore")
    ALSO: ClassVar[Mapping[str, tuple[str, ...]]] = {}

    @model_validator(mode="before")
    @classmethod
    def _fold_spellings(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        folded: dict[str, Any] = {}
        for name, field in cls.model_fields.items():
            canonical = field.alias or name
            sent = [s for s in (canonical, name, *cls.ALSO.get(name, ())) if s in data]
            if any(data[spelling] != data[sent[0]] for spelling in sent):
                raise conflict(canonical, sent)
            if sent:
                folded[canonical] = data[sent[0]]
        return folded


def conflict(field: str, spellings: list[str] | tuple[str, ...]) -> PydanticCustomError:
    """Two spellings of one field disagree; `field` becomes part of the issue's path."""
    names = " and ".join(dict.fromkeys(spellings))
    return PydanticCustomError(
        "conflicting_spellings",
        "{names} name the same field but differ; send one of them.",
        {"names": names, "field": field},
    )
