from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ApplicationRole(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    APPLICATION_ROLE_UNSPECIFIED: _ClassVar[ApplicationRole]
    APPLICATION_ROLE_READER: _ClassVar[ApplicationRole]
    APPLICATION_ROLE_WRITER: _ClassVar[ApplicationRole]
    APPLICATION_ROLE_ADMINISTRATOR: _ClassVar[ApplicationRole]
APPLICATION_ROLE_UNSPECIFIED: ApplicationRole
APPLICATION_ROLE_READER: ApplicationRole
APPLICATION_ROLE_WRITER: ApplicationRole
APPLICATION_ROLE_ADMINISTRATOR: ApplicationRole

class Application(_message.Message):
    __slots__ = ("application", "role", "keys")
    APPLICATION_FIELD_NUMBER: _ClassVar[int]
    ROLE_FIELD_NUMBER: _ClassVar[int]
    KEYS_FIELD_NUMBER: _ClassVar[int]
    application: str
    role: ApplicationRole
    keys: _containers.RepeatedCompositeFieldContainer[ApplicationKey]
    def __init__(self, application: _Optional[str] = ..., role: _Optional[_Union[ApplicationRole, str]] = ..., keys: _Optional[_Iterable[_Union[ApplicationKey, _Mapping]]] = ...) -> None: ...

class ApplicationKey(_message.Message):
    __slots__ = ("key_id", "public_key", "drop_at_ms")
    KEY_ID_FIELD_NUMBER: _ClassVar[int]
    PUBLIC_KEY_FIELD_NUMBER: _ClassVar[int]
    DROP_AT_MS_FIELD_NUMBER: _ClassVar[int]
    key_id: str
    public_key: str
    drop_at_ms: int
    def __init__(self, key_id: _Optional[str] = ..., public_key: _Optional[str] = ..., drop_at_ms: _Optional[int] = ...) -> None: ...

class ListApplicationsRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListApplicationsResponse(_message.Message):
    __slots__ = ("applications",)
    APPLICATIONS_FIELD_NUMBER: _ClassVar[int]
    applications: _containers.RepeatedCompositeFieldContainer[Application]
    def __init__(self, applications: _Optional[_Iterable[_Union[Application, _Mapping]]] = ...) -> None: ...

class AddApplicationRequest(_message.Message):
    __slots__ = ("application", "role", "public_key")
    APPLICATION_FIELD_NUMBER: _ClassVar[int]
    ROLE_FIELD_NUMBER: _ClassVar[int]
    PUBLIC_KEY_FIELD_NUMBER: _ClassVar[int]
    application: str
    role: ApplicationRole
    public_key: str
    def __init__(self, application: _Optional[str] = ..., role: _Optional[_Union[ApplicationRole, str]] = ..., public_key: _Optional[str] = ...) -> None: ...

class AddApplicationResponse(_message.Message):
    __slots__ = ("application",)
    APPLICATION_FIELD_NUMBER: _ClassVar[int]
    application: Application
    def __init__(self, application: _Optional[_Union[Application, _Mapping]] = ...) -> None: ...

class RemoveApplicationRequest(_message.Message):
    __slots__ = ("application",)
    APPLICATION_FIELD_NUMBER: _ClassVar[int]
    application: str
    def __init__(self, application: _Optional[str] = ...) -> None: ...

class RemoveApplicationResponse(_message.Message):
    __slots__ = ("application",)
    APPLICATION_FIELD_NUMBER: _ClassVar[int]
    application: Application
    def __init__(self, application: _Optional[_Union[Application, _Mapping]] = ...) -> None: ...

class SetApplicationRoleRequest(_message.Message):
    __slots__ = ("application", "role")
    APPLICATION_FIELD_NUMBER: _ClassVar[int]
    ROLE_FIELD_NUMBER: _ClassVar[int]
    application: str
    role: ApplicationRole
    def __init__(self, application: _Optional[str] = ..., role: _Optional[_Union[ApplicationRole, str]] = ...) -> None: ...

class SetApplicationRoleResponse(_message.Message):
    __slots__ = ("application",)
    APPLICATION_FIELD_NUMBER: _ClassVar[int]
    application: Application
    def __init__(self, application: _Optional[_Union[Application, _Mapping]] = ...) -> None: ...

class AddApplicationKeyRequest(_message.Message):
    __slots__ = ("application", "public_key", "drop_other_after_s")
    APPLICATION_FIELD_NUMBER: _ClassVar[int]
    PUBLIC_KEY_FIELD_NUMBER: _ClassVar[int]
    DROP_OTHER_AFTER_S_FIELD_NUMBER: _ClassVar[int]
    application: str
    public_key: str
    drop_other_after_s: int
    def __init__(self, application: _Optional[str] = ..., public_key: _Optional[str] = ..., drop_other_after_s: _Optional[int] = ...) -> None: ...

class AddApplicationKeyResponse(_message.Message):
    __slots__ = ("application",)
    APPLICATION_FIELD_NUMBER: _ClassVar[int]
    application: Application
    def __init__(self, application: _Optional[_Union[Application, _Mapping]] = ...) -> None: ...

class DropApplicationKeyRequest(_message.Message):
    __slots__ = ("application", "key_id", "after_s")
    APPLICATION_FIELD_NUMBER: _ClassVar[int]
    KEY_ID_FIELD_NUMBER: _ClassVar[int]
    AFTER_S_FIELD_NUMBER: _ClassVar[int]
    application: str
    key_id: str
    after_s: int
    def __init__(self, application: _Optional[str] = ..., key_id: _Optional[str] = ..., after_s: _Optional[int] = ...) -> None: ...

class DropApplicationKeyResponse(_message.Message):
    __slots__ = ("application",)
    APPLICATION_FIELD_NUMBER: _ClassVar[int]
    application: Application
    def __init__(self, application: _Optional[_Union[Application, _Mapping]] = ...) -> None: ...
