from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class InvitationState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    INVITATION_STATE_UNSPECIFIED: _ClassVar[InvitationState]
    INVITATION_STATE_OPEN: _ClassVar[InvitationState]
    INVITATION_STATE_USED: _ClassVar[InvitationState]
    INVITATION_STATE_REVOKED: _ClassVar[InvitationState]
    INVITATION_STATE_EXPIRED: _ClassVar[InvitationState]
INVITATION_STATE_UNSPECIFIED: InvitationState
INVITATION_STATE_OPEN: InvitationState
INVITATION_STATE_USED: InvitationState
INVITATION_STATE_REVOKED: InvitationState
INVITATION_STATE_EXPIRED: InvitationState

class Invitation(_message.Message):
    __slots__ = ("id", "node", "zone", "weight", "created_at_ms", "expires_at_ms", "created_by", "state", "used_by")
    ID_FIELD_NUMBER: _ClassVar[int]
    NODE_FIELD_NUMBER: _ClassVar[int]
    ZONE_FIELD_NUMBER: _ClassVar[int]
    WEIGHT_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_MS_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_AT_MS_FIELD_NUMBER: _ClassVar[int]
    CREATED_BY_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    USED_BY_FIELD_NUMBER: _ClassVar[int]
    id: str
    node: str
    zone: str
    weight: int
    created_at_ms: int
    expires_at_ms: int
    created_by: str
    state: InvitationState
    used_by: str
    def __init__(self, id: _Optional[str] = ..., node: _Optional[str] = ..., zone: _Optional[str] = ..., weight: _Optional[int] = ..., created_at_ms: _Optional[int] = ..., expires_at_ms: _Optional[int] = ..., created_by: _Optional[str] = ..., state: _Optional[_Union[InvitationState, str]] = ..., used_by: _Optional[str] = ...) -> None: ...

class InviteNodeRequest(_message.Message):
    __slots__ = ("node", "zone", "weight", "expires_s")
    NODE_FIELD_NUMBER: _ClassVar[int]
    ZONE_FIELD_NUMBER: _ClassVar[int]
    WEIGHT_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_S_FIELD_NUMBER: _ClassVar[int]
    node: str
    zone: str
    weight: int
    expires_s: int
    def __init__(self, node: _Optional[str] = ..., zone: _Optional[str] = ..., weight: _Optional[int] = ..., expires_s: _Optional[int] = ...) -> None: ...

class InviteNodeResponse(_message.Message):
    __slots__ = ("invitation", "secret")
    INVITATION_FIELD_NUMBER: _ClassVar[int]
    SECRET_FIELD_NUMBER: _ClassVar[int]
    invitation: Invitation
    secret: str
    def __init__(self, invitation: _Optional[_Union[Invitation, _Mapping]] = ..., secret: _Optional[str] = ...) -> None: ...

class ListInvitationsRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListInvitationsResponse(_message.Message):
    __slots__ = ("invitations",)
    INVITATIONS_FIELD_NUMBER: _ClassVar[int]
    invitations: _containers.RepeatedCompositeFieldContainer[Invitation]
    def __init__(self, invitations: _Optional[_Iterable[_Union[Invitation, _Mapping]]] = ...) -> None: ...

class RevokeInvitationRequest(_message.Message):
    __slots__ = ("id",)
    ID_FIELD_NUMBER: _ClassVar[int]
    id: str
    def __init__(self, id: _Optional[str] = ...) -> None: ...

class RevokeInvitationResponse(_message.Message):
    __slots__ = ("invitation",)
    INVITATION_FIELD_NUMBER: _ClassVar[int]
    invitation: Invitation
    def __init__(self, invitation: _Optional[_Union[Invitation, _Mapping]] = ...) -> None: ...

class JoinClusterRequest(_message.Message):
    __slots__ = ("invitation", "node", "grpc_url", "http_url", "zone", "weight", "public_key", "made_at_ms", "invitation_signature", "key_signature")
    INVITATION_FIELD_NUMBER: _ClassVar[int]
    NODE_FIELD_NUMBER: _ClassVar[int]
    GRPC_URL_FIELD_NUMBER: _ClassVar[int]
    HTTP_URL_FIELD_NUMBER: _ClassVar[int]
    ZONE_FIELD_NUMBER: _ClassVar[int]
    WEIGHT_FIELD_NUMBER: _ClassVar[int]
    PUBLIC_KEY_FIELD_NUMBER: _ClassVar[int]
    MADE_AT_MS_FIELD_NUMBER: _ClassVar[int]
    INVITATION_SIGNATURE_FIELD_NUMBER: _ClassVar[int]
    KEY_SIGNATURE_FIELD_NUMBER: _ClassVar[int]
    invitation: str
    node: str
    grpc_url: str
    http_url: str
    zone: str
    weight: int
    public_key: str
    made_at_ms: int
    invitation_signature: bytes
    key_signature: bytes
    def __init__(self, invitation: _Optional[str] = ..., node: _Optional[str] = ..., grpc_url: _Optional[str] = ..., http_url: _Optional[str] = ..., zone: _Optional[str] = ..., weight: _Optional[int] = ..., public_key: _Optional[str] = ..., made_at_ms: _Optional[int] = ..., invitation_signature: _Optional[bytes] = ..., key_signature: _Optional[bytes] = ...) -> None: ...

class JoinClusterResponse(_message.Message):
    __slots__ = ("cluster_id", "node", "zone", "weight", "catalog_url", "catalog_prefix", "catalog_tls", "catalog_username", "members", "proof")
    CLUSTER_ID_FIELD_NUMBER: _ClassVar[int]
    NODE_FIELD_NUMBER: _ClassVar[int]
    ZONE_FIELD_NUMBER: _ClassVar[int]
    WEIGHT_FIELD_NUMBER: _ClassVar[int]
    CATALOG_URL_FIELD_NUMBER: _ClassVar[int]
    CATALOG_PREFIX_FIELD_NUMBER: _ClassVar[int]
    CATALOG_TLS_FIELD_NUMBER: _ClassVar[int]
    CATALOG_USERNAME_FIELD_NUMBER: _ClassVar[int]
    MEMBERS_FIELD_NUMBER: _ClassVar[int]
    PROOF_FIELD_NUMBER: _ClassVar[int]
    cluster_id: str
    node: str
    zone: str
    weight: int
    catalog_url: str
    catalog_prefix: str
    catalog_tls: bool
    catalog_username: str
    members: _containers.RepeatedCompositeFieldContainer[ClusterMember]
    proof: bytes
    def __init__(self, cluster_id: _Optional[str] = ..., node: _Optional[str] = ..., zone: _Optional[str] = ..., weight: _Optional[int] = ..., catalog_url: _Optional[str] = ..., catalog_prefix: _Optional[str] = ..., catalog_tls: _Optional[bool] = ..., catalog_username: _Optional[str] = ..., members: _Optional[_Iterable[_Union[ClusterMember, _Mapping]]] = ..., proof: _Optional[bytes] = ...) -> None: ...

class ClusterMember(_message.Message):
    __slots__ = ("node", "grpc_url", "http_url", "public_keys")
    NODE_FIELD_NUMBER: _ClassVar[int]
    GRPC_URL_FIELD_NUMBER: _ClassVar[int]
    HTTP_URL_FIELD_NUMBER: _ClassVar[int]
    PUBLIC_KEYS_FIELD_NUMBER: _ClassVar[int]
    node: str
    grpc_url: str
    http_url: str
    public_keys: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, node: _Optional[str] = ..., grpc_url: _Optional[str] = ..., http_url: _Optional[str] = ..., public_keys: _Optional[_Iterable[str]] = ...) -> None: ...
