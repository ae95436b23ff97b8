# SPDX-License-Identifier: MIT
"""The kinds of single values in the JSON files: the check of each, and its JSON Schema.

A schema's pattern is as strict as a regular expression can be; the check decides.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

from glb.config import values
from glb.config.health import FULL_SIZE

_IPV4 = r"(25[0-5]|2[0-4][0-9]|1?[0-9]?[0-9])(\.(25[0-5]|2[0-4][0-9]|1?[0-9]?[0-9])){3}"
_IPV6 = r"[0-9a-fA-F:]*:[0-9a-fA-F:.]*"
_NETWORK_IPV4 = f"{_IPV4}(/(3[0-2]|[12]?[0-9]))?"
_NETWORK = f"{_NETWORK_IPV4}|{_IPV6}(/(12[0-8]|1[01][0-9]|[1-9]?[0-9]))?"
_PORT = "0*(6553[0-5]|655[0-2][0-9]|65[0-4][0-9]{2}|6[0-4][0-9]{3}|[1-5][0-9]{4}|[1-9][0-9]{0,3})"


@dataclass(frozen=True, slots=True)
class Kind:
    """In a field's annotation. check: raises PydanticCustomError. schema: the JSON Schema of what it accepts."""

    check: Callable[[Any], Any]
    schema: JsonSchemaValue = field(hash=False)

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(self.check)

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return dict(self.schema)


@dataclass(frozen=True, slots=True)
class NonEmpty:
    """In the annotation of a required list: what to do if it is missing or empty."""

    remedy: str

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self._check, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return handler(schema) | {"minItems": 1}

    def _check(self, entries: tuple[Any, ...]) -> tuple[Any, ...]:
        if not entries:
            raise values.problem(f"empty; {self.remedy}")
        return entries


@dataclass(frozen=True, slots=True)
class OrWord:
    """In the annotation of an optional object: a JSON value that may be there in place of the object.

    read: returns the object as it is, None for the word. is_null_allowed: whether null is as good as the word.
    """

    read: Callable[[object], object]
    word: str | bool
    is_null_allowed: bool

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_before_validator_function(self.read, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        choices = handler(schema)["anyOf"]
        kept = choices if self.is_null_allowed else [choice for choice in choices if choice != {"type": "null"}]
        return {"anyOf": [*kept, {"const": self.word}]}


def whole(low: int, high: int) -> Kind:
    return Kind(values.integer(low, high), {"type": "integer", "minimum": low, "maximum": high})


def number(low: float, high: float) -> Kind:
    return Kind(values.number(low, high), {"type": "number", "minimum": low, "maximum": high})


def one_of(choices: type[StrEnum]) -> Kind:
    return Kind(values.one_of(choices), {"enum": sorted(choices)})


def _text(check: Callable[[object], Any], pattern: str, **further: Any) -> Kind:
    return Kind(check, {"type": "string", "pattern": f"^({pattern})$", **further})


BOOLEAN = Kind(values.boolean, {"type": "boolean"})
PORT = Kind(values.port, {"type": "integer", "minimum": 1, "maximum": 65535})
BIND_PORT = Kind(values.bind_port, {"type": "integer", "minimum": 0, "maximum": 65535})
STATSD_PORT = Kind(
    values.statsd_port,
    {
        "anyOf": [
            {"type": "integer", "minimum": 0, "maximum": 65535},
            {"type": "string", "pattern": f"^({_PORT}|0{{1,5}})$", "maxLength": 5},
        ]
    },
)
WEIGHT = Kind(values.weight, {"type": "number", "exclusiveMinimum": 0, "maximum": values.MAX_WEIGHT})
PACKET_SIZE = Kind(
    values.packet_size,
    {"anyOf": [{"type": "integer", "minimum": values.MIN_PACKET_SIZE, "maximum": FULL_SIZE}, {"const": "full"}]},
)
STATUSES = Kind(
    values.statuses,
    {
        "type": "array",
        "minItems": 1,
        "items": {
            "anyOf": [
                {"type": "integer", "minimum": 100, "maximum": 599},
                {"type": "string", "pattern": "^[1-5][0-9]{2}(-[1-5][0-9]{2})?$"},
            ]
        },
    },
)
TEXT = Kind(values.text, {"type": "string"})
NAME = _text(values.name, r".*\S.*")
TABLE_NAME = _text(values.table_name, r"(.*\S.*)?")
KEY16 = _text(values.key16, "[0-9a-fA-F]{32}")
UNICAST = _text(values.unicast, f"{_IPV4}|{_IPV6}")
UNICAST_IPV4 = _text(values.unicast_ipv4, _IPV4)
HOST_IPV4 = _text(values.host_ipv4, _IPV4)
HOST_IPV6 = _text(values.host_ipv6, _IPV6)
NETWORK = _text(values.network, _NETWORK)
INTERFACE = _text(values.interface, _NETWORK)
NETWORK_IPV4 = _text(values.network_ipv4, _NETWORK_IPV4)
VIP = _text(values.vip, _NETWORK)
LISTEN = _text(values.listen, rf"({_IPV4}|\[{_IPV6}\]):{_PORT}")
MAC = _text(values.mac, "[0-9a-fA-F]{2}([:-][0-9a-fA-F]{2}){5}")
URI_PATH = _text(values.uri_path, "/[!-~]*")
HOST = _text(values.host, r"[A-Za-z0-9._\-\[\]:]{1,255}")
NAMESPACE = _text(values.namespace, r"/.+|[^/]+", **{"not": {"enum": [".", ".."]}})
COMMUNITY = _text(values.community, "[0-9]{1,10}(:[0-9]{1,10}){1,2}")
MD5_PASSWORD = _text(values.md5_password, r"[!#-&(-\[\]-~]{1,80}")
ABSOLUTE_PATH = _text(values.absolute_path, "/.*")
