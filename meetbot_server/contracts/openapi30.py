"""OpenAPI 3.0.3 out of 3.1, for generators that know no more (DOC-22, CON-78).

Only what our document uses is translated; a test validates the outcome, so that nothing new slips
through. 3.0 has no webhooks.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any, Final

Json = dict[str, Any]

# Names below `properties` are fields and no keywords of a schema.
NAMED: Final = frozenset({"properties", "schemas", "patternProperties", "headers", "responses"})
DROPPED: Final = frozenset({"contentMediaType", "contentEncoding", "propertyNames", "$schema"})


def to_3_0(document: Json) -> Json:
    """The same operations as `document`, which stays as it is."""
    older = copy.deepcopy(document)
    older["openapi"] = "3.0.3"
    older.pop("webhooks", None)
    info = older["info"]
    info["description"] = f"{info.pop('summary')}\n\n{info['description']}"
    info.get("license", {}).pop("identifier", None)
    for part in ("paths", "components"):
        older[part] = _each(older[part], _schema)
    _drop_unused(older)
    return older


def _each(node: Any, change: Callable[[Json], Json]) -> Any:
    """`node` with `change` applied to every object in it, the inner ones first."""
    if isinstance(node, list):
        return [_each(item, change) for item in node]
    if not isinstance(node, dict):
        return node
    changed = {
        key: {name: _each(one, change) for name, one in value.items()}
        if key in NAMED and isinstance(value, dict)
        else _each(value, change)
        for key, value in node.items()
    }
    return change(changed)


def _schema(node: Json) -> Json:
    for keyword in DROPPED & node.keys():
        # A parameter or property may be called like that; then it is an object.
        if not isinstance(node[keyword], dict) or keyword == "propertyNames":
            del node[keyword]
    if "const" in node:
        node["enum"] = [node.pop("const")]
    if isinstance(node.get("examples"), list):
        node["example"] = node.pop("examples")[0]
    _bounds(node)
    node = _nullable(node)
    if "$ref" in node and len(node) > 1:
        # Beside a reference 3.0 reads nothing.
        node = {"allOf": [{"$ref": node.pop("$ref")}], **node}
    return node


def _bounds(node: Json) -> None:
    """Exclusive bounds are flags beside the bound."""
    for exclusive, bound in (("exclusiveMinimum", "minimum"), ("exclusiveMaximum", "maximum")):
        limit = node.get(exclusive)
        if isinstance(limit, int | float) and not isinstance(limit, bool):
            node[bound], node[exclusive] = limit, True


def _nullable(node: Json) -> Json:
    """`null` is no type of its own."""
    if isinstance(node.get("type"), list):
        types = [kind for kind in node["type"] if kind != "null"]
        node = {**node, "nullable": True, "type": types[0]}
    for keyword in ("anyOf", "oneOf"):
        choices = node.get(keyword)
        if not isinstance(choices, list) or {"type": "null"} not in choices:
            continue
        rest = [choice for choice in choices if choice != {"type": "null"}]
        outer = {key: value for key, value in node.items() if key != keyword}
        if len(rest) > 1:
            node = {**outer, keyword: rest, "nullable": True}
        elif "$ref" in rest[0]:
            node = {**outer, "allOf": rest, "nullable": True}
        else:
            node = {**rest[0], **outer, "nullable": True}
    return node


def _drop_unused(document: Json) -> None:
    """The schemas of webhooks, and what only they use."""
    schemas = document["components"]["schemas"]
    used: set[str] = set()
    waiting = _references(document["paths"])
    while waiting:
        name = waiting.pop()
        if name not in used:
            used.add(name)
            waiting |= _references(schemas[name])
    document["components"]["schemas"] = {n: s for n, s in schemas.items() if n in used}


def _references(node: Any) -> set[str]:
    if isinstance(node, list):
        return {name for item in node for name in _references(item)}
    if not isinstance(node, dict):
        return set()
    found = {name for value in node.values() for name in _references(value)}
    if isinstance(node.get("$ref"), str):
        found.add(node["$ref"].rpartition("/")[2])
    return found
