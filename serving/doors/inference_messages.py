"""The message classes of ``inference.proto``, made from the file itself: there is no generated code to keep in step.

They have a descriptor pool of their own, so that a client of the protocol, whose generated code registers the same
names, can live in the same process. The reader knows the part of the language that the file uses, and refuses others.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from google.protobuf.descriptor_pb2 import DescriptorProto, FieldDescriptorProto, FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass

PROTO = Path(__file__).with_name("inference.proto")
PACKAGE = "inference"

_BEGIN = re.compile(r"(message|oneof|service) (\w+) {")
_FIELD = re.compile(r"(repeated )?(?:map<string, (\w+)>|(\w+)) (\w+) = (\d+);")
_SKIPPED = re.compile(r'rpc .*|syntax = "proto3";|package inference;')


def read_proto(text: str) -> FileDescriptorProto:
    """Raises ``ValueError`` for a line that is not understood."""
    file = FileDescriptorProto(name=PROTO.name, package=PACKAGE, syntax="proto3")
    inside: list[tuple[str, Any]] = [("file", file)]
    for line in text.splitlines():
        words = line.partition("//")[0].strip()
        kind, parent = inside[-1]
        if words == "}":
            inside.pop()
        elif found := _BEGIN.fullmatch(words):
            inside.append((found[1], _begin(kind, parent, found[1], found[2])))
        elif found := _FIELD.fullmatch(words):
            _add_field(parent, found, in_oneof=kind == "oneof")
        elif words and not _SKIPPED.fullmatch(words):
            raise ValueError(f"{PROTO.name}: {words!r} is not understood")
    return file


def _begin(inside: str, parent: Any, kind: str, name: str) -> Any:
    if kind == "message":
        return (parent.message_type if inside == "file" else parent.nested_type).add(name=name)
    if kind == "oneof":
        parent.oneof_decl.add(name=name)
    return parent


def _add_field(message: DescriptorProto, found: re.Match[str], in_oneof: bool) -> None:
    repeated, value, kind, name, number = found.groups()
    if value:  # a map is a repeated pair
        kind = f"{name.capitalize()}Entry"
        entry = message.nested_type.add(name=kind)
        entry.options.map_entry = True
        _set_type(entry.field.add(name="key", number=1), "string", False)
        _set_type(entry.field.add(name="value", number=2), value, False)
    field = message.field.add(name=name, number=int(number))
    _set_type(field, kind, bool(repeated or value))
    if in_oneof:
        field.oneof_index = len(message.oneof_decl) - 1


def _set_type(field: FieldDescriptorProto, kind: str, repeated: bool) -> None:
    field.label = FieldDescriptorProto.LABEL_REPEATED if repeated else FieldDescriptorProto.LABEL_OPTIONAL
    if kind[0].isupper():
        field.type, field.type_name = FieldDescriptorProto.TYPE_MESSAGE, kind
    else:
        field.type = FieldDescriptorProto.Type.Value(f"TYPE_{kind.upper()}")


_POOL = DescriptorPool()
_POOL.Add(read_proto(PROTO.read_text()))


def message(name: str) -> Any:
    """The class of a message by its name in the file."""
    return GetMessageClass(_POOL.FindMessageTypeByName(f"{PACKAGE}.{name}"))
