"""Writes `meshnode/client/services.py`: one typed class a service, out of the protos and their comments.

python proto/client_services.py DESCRIPTOR_SET, where DESCRIPTOR_SET was made by protoc with --include_source_info.
Services for nodes only, and git's own protocol, are left out.
"""

from __future__ import annotations

import re
import sys
import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path

from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
    FileDescriptorSet,
    MethodDescriptorProto,
)

from meshnode.v1 import annotations_pb2

LEFT_OUT = ("ReplicationService", "TransportService")
NAME_FIELDS = ("repository", "name", "source_name")
HEAD = '''"""Typed calls of every service of `mesh.v1`. Generated from proto/ by `make proto`; do not edit."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from typing import Final

from meshnode.client.caller import CALL_MS, STREAM_MS, Caller, Method
from meshnode.v1 import {modules}

'''


def main(descriptor_set: Path) -> str:
    """The whole file."""
    files = FileDescriptorSet.FromString(descriptor_set.read_bytes())
    services = [
        (file, index)
        for file in files.file
        for index, service in enumerate(file.service)
        if service.name not in LEFT_OUT
    ]
    messages = {
        f".{file.package}.{message.name}": (file, message) for file in files.file for message in file.message_type
    }
    used = {
        type_name
        for file, index in services
        for method in file.service[index].method
        for type_name in (method.input_type, method.output_type)
    }
    modules = {type_name: module_of(messages[type_name][0]) for type_name in used}
    lines = [HEAD.format(modules=", ".join(sorted(set(modules.values()))))]
    for file, index in services:
        lines += service_lines(file, index, messages, modules)
    return "\n".join(lines)


def service_lines(
    file: FileDescriptorProto,
    index: int,
    messages: Mapping[str, tuple[FileDescriptorProto, DescriptorProto]],
    modules: Mapping[str, str],
) -> Iterator[str]:
    """One service as a class, after the constants of its methods; its messages may come from other files."""
    service = file.service[index]
    for method in service.method:
        yield from constant_lines(*messages[method.input_type], service.name, method)
    yield f"\n\nclass {service.name}:"
    yield docstring(comment_of(file, (6, index)) or f"Calls of {service.name}.", "    ")
    yield "\n    def __init__(self, caller: Caller) -> None:\n        self._caller = caller\n"
    for number, method in enumerate(service.method):
        yield from method_lines(modules, service.name, method, comment_of(file, (6, index, 2, number)))
    yield ""


def constant_lines(
    file: FileDescriptorProto, request: DescriptorProto, service: str, method: MethodDescriptorProto
) -> Iterator[str]:
    """What the caller must know of a method whose `request` is in `file`."""
    holder = request
    prefix: tuple[str, ...] = ()
    for field in request.field:
        if field.name == "header" and field.type == FieldDescriptorProto.TYPE_MESSAGE:
            holder = next(one for one in all_messages(file) if field.type_name.endswith(f".{one.name}"))
            prefix = ("header",)
    names = {field.name for field in holder.field}
    name = next((one for one in NAME_FIELDS if one in names), None)
    if service == "EventService" or (name == "name" and service not in {"RepositoryService", "MaintenanceService"}):
        name = None
    kind = method.options.Extensions[annotations_pb2.kind]
    yield f"{constant_of(service, method)}: Final = Method("
    yield f'    path="/{file.package}.{service}/{method.name}",'
    yield f"    is_write={kind != annotations_pb2.METHOD_KIND_ACCESSOR},"
    yield f"    holder={prefix!r},"
    yield f"    name_field={name or ''!r},"
    yield f"    has_request_key={'request_key' in names},"
    yield f"    has_consistency={'consistency' in names},"
    yield ")"


def method_lines(
    modules: Mapping[str, str], service: str, method: MethodDescriptorProto, comment: str
) -> Iterator[str]:
    """One method."""
    request = f"{modules[method.input_type]}.{method.input_type.rpartition('.')[2]}"
    answer = f"{modules[method.output_type]}.{method.output_type.rpartition('.')[2]}"
    constant = constant_of(service, method)
    sent = (
        f"requests: Iterable[{request}] | AsyncIterator[{request}]"
        if method.client_streaming
        else f"request: {request}"
    )
    word = "requests" if method.client_streaming else "request"
    doc = docstring(comment or f"Call {service}.{method.name}.", "        ")
    if method.server_streaming:
        yield f"    def {snake(method.name)}(self, {sent}, *, timeout_ms: int = STREAM_MS) -> AsyncIterator[{answer}]:"
        yield doc
        yield f"        return self._caller.stream({constant}, {word}, {answer}, timeout_ms=timeout_ms)"
    else:
        limit = "STREAM_MS" if method.client_streaming else "CALL_MS"
        call = "upload" if method.client_streaming else "unary"
        yield f"    async def {snake(method.name)}(self, {sent}, *, timeout_ms: int = {limit}) -> {answer}:"
        yield doc
        yield f"        return await self._caller.{call}({constant}, {word}, {answer}, timeout_ms=timeout_ms)"
    yield ""


def all_messages(file: FileDescriptorProto) -> Iterator[DescriptorProto]:
    """Messages of a file, nested ones too."""
    for message in file.message_type:
        yield message
        yield from message.nested_type


def comment_of(file: FileDescriptorProto, path: tuple[int, ...]) -> str:
    """The comment before an element, as one paragraph a blank line."""
    for location in file.source_code_info.location:
        if tuple(location.path) == path:
            lines = [line.strip() for line in location.leading_comments.splitlines()]
            return "\n".join(lines).strip()
    return ""


def docstring(text: str, indent: str) -> str:
    """A docstring: the first sentence, then the rest."""
    words = " ".join(text.replace("\\", "\\\\").replace('"', "'").split())
    sentence, stop, rest = words.partition(". ")
    if not rest:
        return "\n".join(wrapped(f'{indent}"""{words}"""', 118, indent))
    lines = [*wrapped(f'{indent}"""{sentence}{stop}', 118, indent), "", *wrapped(indent + rest, 118, indent)]
    return "\n".join([*lines, f'{indent}"""'])


def wrapped(text: str, width: int, indent: str) -> list[str]:
    """Lines of at most `width` characters, each indented."""
    return textwrap.wrap(text.strip(), width, initial_indent=indent, subsequent_indent=indent, break_on_hyphens=False)


def constant_of(service: str, method: MethodDescriptorProto) -> str:
    """`_REF_LIST_REFS`."""
    return f"_{snake(service.removesuffix('Service')).upper()}_{snake(method.name).upper()}"


def module_of(file: FileDescriptorProto) -> str:
    """`ref_pb2`."""
    return Path(file.name).stem + "_pb2"


def snake(name: str) -> str:
    """`ListRefs` -> `list_refs`."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


if __name__ == "__main__":
    sys.stdout.write(main(Path(sys.argv[1])))
