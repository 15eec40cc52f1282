from google.protobuf import descriptor_pb2 as _descriptor_pb2
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from typing import ClassVar as _ClassVar

DESCRIPTOR: _descriptor.FileDescriptor

class MethodKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    METHOD_KIND_UNSPECIFIED: _ClassVar[MethodKind]
    METHOD_KIND_ACCESSOR: _ClassVar[MethodKind]
    METHOD_KIND_MUTATOR: _ClassVar[MethodKind]
    METHOD_KIND_MAINTENANCE: _ClassVar[MethodKind]

class CallerRole(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    CALLER_ROLE_UNSPECIFIED: _ClassVar[CallerRole]
    CALLER_ROLE_READER: _ClassVar[CallerRole]
    CALLER_ROLE_WRITER: _ClassVar[CallerRole]
    CALLER_ROLE_ADMINISTRATOR: _ClassVar[CallerRole]
    CALLER_ROLE_NODE: _ClassVar[CallerRole]
    CALLER_ROLE_INVITED: _ClassVar[CallerRole]
METHOD_KIND_UNSPECIFIED: MethodKind
METHOD_KIND_ACCESSOR: MethodKind
METHOD_KIND_MUTATOR: MethodKind
METHOD_KIND_MAINTENANCE: MethodKind
CALLER_ROLE_UNSPECIFIED: CallerRole
CALLER_ROLE_READER: CallerRole
CALLER_ROLE_WRITER: CallerRole
CALLER_ROLE_ADMINISTRATOR: CallerRole
CALLER_ROLE_NODE: CallerRole
CALLER_ROLE_INVITED: CallerRole
KIND_FIELD_NUMBER: _ClassVar[int]
kind: _descriptor.FieldDescriptor
ROLE_FIELD_NUMBER: _ClassVar[int]
role: _descriptor.FieldDescriptor
AUDITED_FIELD_NUMBER: _ClassVar[int]
audited: _descriptor.FieldDescriptor
