"""Turns commits and what selects them between proto and core; checks everything a person may write."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from meshnode.base.errors import InvalidRequest
from meshnode.base.ids import ObjectId
from meshnode.base.paths import ROOT, parse_tree_path
from meshnode.ports import Commit, Identity, MergeBaseKind, Selection, SignatureKind, WalkOrder
from meshnode.v1 import commit_pb2

REVISIONS_MAX: Final = 50
PATHS_MAX: Final = 100
MESSAGES_MAX: Final = 20
PATTERN_BYTES_MAX: Final = 1_000
SECONDS_MAX: Final = (1 << 40) - 1
"""The year 36,812; git's own dates end in 2099 where it checks them."""

_SIGNATURES: Final = {
    SignatureKind.NONE: commit_pb2.SIGNATURE_KIND_UNSPECIFIED,
    SignatureKind.PGP: commit_pb2.SIGNATURE_KIND_PGP,
    SignatureKind.SSH: commit_pb2.SIGNATURE_KIND_SSH,
    SignatureKind.X509: commit_pb2.SIGNATURE_KIND_X509,
    SignatureKind.OTHER: commit_pb2.SIGNATURE_KIND_OTHER,
}
_ORDERS: Final[dict[int, WalkOrder]] = {
    commit_pb2.COMMIT_ORDER_UNSPECIFIED: WalkOrder.DEFAULT,
    commit_pb2.COMMIT_ORDER_TOPOLOGICAL: WalkOrder.TOPOLOGICAL,
    commit_pb2.COMMIT_ORDER_DATE: WalkOrder.DATE,
    commit_pb2.COMMIT_ORDER_AUTHOR_DATE: WalkOrder.AUTHOR_DATE,
}
_BASES: Final[dict[int, MergeBaseKind]] = {
    commit_pb2.MERGE_BASE_KIND_UNSPECIFIED: MergeBaseKind.BEST,
    commit_pb2.MERGE_BASE_KIND_ALL: MergeBaseKind.ALL,
    commit_pb2.MERGE_BASE_KIND_OCTOPUS: MergeBaseKind.OCTOPUS,
}
_PARENTS: Final[dict[int, tuple[int, int | None]]] = {
    commit_pb2.MERGE_CHOICE_UNSPECIFIED: (0, None),
    commit_pb2.MERGE_CHOICE_ALL: (0, None),
    commit_pb2.MERGE_CHOICE_NO_MERGES: (0, 1),
    commit_pb2.MERGE_CHOICE_MERGES_ONLY: (2, None),
}
_SYNTAXES: Final[dict[int, bool]] = {
    commit_pb2.PATTERN_SYNTAX_UNSPECIFIED: False,
    commit_pb2.PATTERN_SYNTAX_FIXED: False,
    commit_pb2.PATTERN_SYNTAX_EXTENDED: True,
}


def commit_message(commit: Commit) -> commit_pb2.Commit:
    """A commit."""
    return commit_pb2.Commit(
        oid=commit.oid,
        tree_oid=commit.tree,
        parent_oids=commit.parents,
        author=identity_message(commit.author),
        committer=identity_message(commit.committer),
        message=commit.message,
        message_size=commit.message_size,
        encoding=commit.encoding,
        signature=signature_number(commit.signature),
    )


def identity_message(identity: Identity) -> commit_pb2.Identity:
    """An identity."""
    return commit_pb2.Identity(
        name=identity.name, email=identity.email, time_s=identity.time_s, timezone=identity.timezone
    )


def signature_number(kind: SignatureKind) -> commit_pb2.SignatureKind:
    """The proto's number of a kind of signature."""
    return _SIGNATURES[kind]


def order_of(number: int) -> WalkOrder:
    """Read an order. Raises InvalidRequest."""
    order = _ORDERS.get(number)
    if order is None:
        raise InvalidRequest("unknown order", order=number)
    return order


def merge_base_kind_of(number: int) -> MergeBaseKind:
    """Read what kind of merge base is wanted. Raises InvalidRequest."""
    kind = _BASES.get(number)
    if kind is None:
        raise InvalidRequest("unknown kind of merge base", merge_base_kind=number)
    return kind


def check_revisions(revisions: Sequence[str], *, least: int, most: int) -> None:
    """Check how many revisions a request names. Raises InvalidRequest."""
    if not least <= len(revisions) <= most:
        raise InvalidRequest(
            "wrong number of revisions", revisions=len(revisions), revisions_min=least, revisions_max=most
        )


def check_selection(message: commit_pb2.CommitSelection, *, is_reversed: bool = False) -> None:
    """Check a selection before anything is read. Raises InvalidRequest."""
    if is_reversed and message.follow:
        raise InvalidRequest("follow finds names from the newest commit on; it cannot be reversed")
    check_revisions([*message.revisions, *message.excluded_revisions], least=0, most=REVISIONS_MAX)
    selection_of(message, (), ())


def selection_of(
    message: commit_pb2.CommitSelection, include: tuple[ObjectId, ...], exclude: tuple[ObjectId, ...]
) -> Selection:
    """A selection whose revisions are known. Raises InvalidRequest."""
    parents = _PARENTS.get(message.merges)
    is_extended = _SYNTAXES.get(message.pattern_syntax)
    if parents is None:
        raise InvalidRequest("unknown choice of merges", merges=int(message.merges))
    if is_extended is None:
        raise InvalidRequest("unknown syntax of patterns", pattern_syntax=int(message.pattern_syntax))
    if len(message.paths) > PATHS_MAX or len(message.messages) > MESSAGES_MAX:
        raise InvalidRequest(
            "too many paths or patterns",
            paths=len(message.paths),
            paths_max=PATHS_MAX,
            messages=len(message.messages),
            messages_max=MESSAGES_MAX,
        )
    if ROOT in message.paths:
        raise InvalidRequest("the root is no path to select by; leave paths out")
    if message.follow and len(message.paths) != 1:
        raise InvalidRequest("follow needs exactly one path", paths=len(message.paths))
    if (message.all_messages or message.invert_messages) and not message.messages:
        raise InvalidRequest("all_messages and invert_messages go with messages")
    if "" in message.messages:
        raise InvalidRequest("a pattern of messages is empty")
    return Selection(
        include=include,
        exclude=exclude,
        paths=tuple(parse_tree_path(path) for path in message.paths),
        follow=message.follow,
        full_history=message.full_history,
        author=_pattern(message.author, "author"),
        committer=_pattern(message.committer, "committer"),
        messages=tuple(_pattern(text, "messages") for text in message.messages),
        is_extended=is_extended,
        ignore_case=message.ignore_case,
        all_messages=message.all_messages,
        invert_messages=message.invert_messages,
        since_s=_seconds(message.since_s, "since_s") if message.HasField("since_s") else None,
        until_s=_seconds(message.until_s, "until_s") if message.HasField("until_s") else None,
        first_parent=message.first_parent,
        parents_min=parents[0],
        parents_max=parents[1],
    )


def _pattern(text: str, field: str) -> str:
    if len(text.encode()) > PATTERN_BYTES_MAX or "\n" in text or "\0" in text:
        raise InvalidRequest(
            "a pattern is one line without NUL", field=field, bytes_max=PATTERN_BYTES_MAX, bytes=len(text.encode())
        )
    return text


def _seconds(number: int, field: str) -> int:
    if not 0 <= number <= SECONDS_MAX:
        raise InvalidRequest("date is out of range", field=field, seconds=number, seconds_max=SECONDS_MAX)
    return number
