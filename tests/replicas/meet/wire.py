"""The messages of Google Meet's channels as its servers write them, by the protobuf library.

The numbers of the fields are what open-source bots have found; Google publishes no schema.
"""

from __future__ import annotations

import base64
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

from google.protobuf import descriptor_pb2, descriptor_pool, json_format, message_factory

_PACKAGE: Final = "replica"
# Message, then field: its number, and its type or the message in it; a star for many.
_SCHEMA: Final[Mapping[str, Mapping[str, tuple[int, str]]]] = {
    "Event": {"body": (1, "Body")},
    "Body": {"change": (2, "Change")},
    "Change": {"devices": (3, "Devices"), "lists": (13, "Lists")},
    "Lists": {"people": (1, "People")},
    "Devices": {"outputs": (2, "Output*")},
    "Output": {
        "kind": (2, "int64"),
        "stream": (4, "string"),
        "device": (6, "string"),
        "status": (10, "Status"),
    },
    "Status": {"disabled": (1, "int64")},
    "Everybody": {"outer": (2, "Outer")},
    "Outer": {"people": (2, "People")},
    "People": {"info": (1, "Info"), "list": (2, "Person*")},
    "Info": {"number": (1, "int64")},
    "Person": {
        "device": (1, "string"),
        "fullName": (2, "string"),
        "picture": (3, "string"),
        "status": (4, "int64"),
        "self": (7, "string"),
        "parent": (21, "string"),
        "displayName": (29, "string"),
        "host": (34, "int64"),
        # Something that nobody here knows.
        "weight": (40, "double"),
    },
    "Captions": {"caption": (1, "Caption")},
    "Caption": {
        "device": (1, "string"),
        "id": (2, "int64"),
        "version": (3, "int64"),
        "final": (4, "int64"),
        "text": (6, "string"),
        "language": (8, "int64"),
    },
}
IN_MEETING, LEFT = 1, 6


@dataclass(frozen=True)
class Somebody:
    """One entry of a roster; `parent`: the device of whoever shares this screen."""

    device: str
    name: str
    host: bool = False
    is_self: bool = False
    status: int = IN_MEETING
    parent: str = ""

    def fields(self) -> dict[str, Any]:
        return {
            "device": self.device,
            "fullName": self.name,
            "displayName": self.name.partition(" ")[0],
            "picture": "https://lh3.googleusercontent.com/a/replica",
            "status": self.status,
            "self": "1" if self.is_self else "",
            "parent": self.parent,
            "host": int(self.host),
            "weight": 0.5,
        }


def roster_event(people: Sequence[Somebody], number: int = 1) -> bytes:
    """Of `collections`: these came, or something about them changed."""
    listed = {"info": {"number": number}, "list": [one.fields() for one in people]}
    return _deflated("Event", {"body": {"change": {"lists": {"people": listed}}}})


def outputs_event(outputs: Sequence[tuple[str, int, bool]]) -> bytes:
    """Of `collections`: device, the id of its audio stream, and whether that is muted."""
    told = [
        {"device": device, "kind": 1, "stream": str(stream), "status": {"disabled": int(muted)}}
        for device, stream, muted in outputs
    ]
    # A camera's stream is no voice.
    told += [{"device": device, "kind": 2, "stream": f"9{stream}"} for device, stream, _ in outputs]
    return _deflated("Event", {"body": {"change": {"devices": {"outputs": told}}}})


def everybody(people: Sequence[Somebody]) -> bytes:
    """The answer of `SyncMeetingSpaceCollections`, base64."""
    listed = {"list": [one.fields() for one in people]}
    return base64.b64encode(_packed("Everybody", {"outer": {"people": listed}}))


def caption_event(device: str, caption_id: int, version: int, text: str, *, final: bool) -> bytes:
    """Of the channel of captions, which is not compressed."""
    said = {"device": device, "id": caption_id, "version": version, "final": int(final)}
    return _packed("Captions", {"caption": {**said, "text": text, "language": 1}})


def _deflated(kind: str, fields: Mapping[str, Any]) -> bytes:
    return zlib.compress(_packed(kind, fields))


def _packed(kind: str, fields: Mapping[str, Any]) -> bytes:
    message = _messages()[kind]()
    json_format.ParseDict(dict(fields), message)
    return bytes(message.SerializeToString())


@cache
def _messages() -> Mapping[str, Any]:
    file = descriptor_pb2.FileDescriptorProto(
        name="replica.proto", package=_PACKAGE, syntax="proto3"
    )
    types = descriptor_pb2.FieldDescriptorProto
    for name, fields in _SCHEMA.items():
        message = file.message_type.add(name=name)
        for field, (number, kind) in fields.items():
            plain = kind.rstrip("*")
            made = message.field.add(name=field, json_name=field, number=number)
            made.label = types.LABEL_REPEATED if kind.endswith("*") else types.LABEL_OPTIONAL
            if plain in _SCHEMA:
                made.type, made.type_name = types.TYPE_MESSAGE, f".{_PACKAGE}.{plain}"
            else:
                made.type = types.Type.Value(f"TYPE_{plain.upper()}")
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {
        name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{_PACKAGE}.{name}"))
        for name in _SCHEMA
    }
