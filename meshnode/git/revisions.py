"""Turns what people write for an object into its id: names by the snapshot, everything else by git.

    main~3^{tree}  ->  base "main"  -> refs of the snapshot -> <oid>
                       suffix "~3^{tree}"                   -> cat-file answers <oid>~3^{tree}

References come from the snapshot, never from files, so that a whole answer stands on one generation. What depends
on a moment or on one replica (reflogs, `:/text`, the index) is refused. Unlike git, which warns and takes the tag, a
short name that is a tag and a branch is refused: an API has nobody to read the warning.

Source: gitrevisions(7).
"""

from __future__ import annotations

import re
from typing import Final

from meshnode.base.errors import Corrupt, InvalidRequest, NotFound
from meshnode.base.ids import HEAD, ObjectId, RefName, RefValue, symbolic_target
from meshnode.base.paths import name_in
from meshnode.core.refs import find_names
from meshnode.core.round import ReplicaKey
from meshnode.ports import NOTHING_AHEAD, Ahead, BegunLookUp, ObjectInfo, ObjectKind, Objects, RefsSnapshot, TreeAhead

REVISION_BYTES_MAX: Final = 4_096
_SUFFIX: Final = re.compile(r"(?:\^\{(?:commit|tree|blob|tag|object)?\}|\^[0-9]{0,6}|~[0-9]{0,9})*(?::[^\n\0]*)?\Z")
_BASE: Final = re.compile(r"[^\^~:]*")
_ABBREVIATED: Final = re.compile(r"[0-9a-f]{4,63}\Z")
_WHOLE: Final = re.compile(r"(?:[0-9a-f]{40}|[0-9a-f]{64})\Z")
_SYMBOLIC_DEPTH_MAX: Final = 5


class GitRevisions:
    """Implements `ports.Revisions`."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects

    def begin(
        self, key: ReplicaKey, revision: str, kind: ObjectKind | None = None, *, ahead: TreeAhead | None = None
    ) -> BegunLookUp | None:
        """Ask for what a whole object id leads to."""
        try:
            base, suffix = _split(revision)
        except InvalidRequest:
            return None
        if not _WHOLE.match(base):
            return None
        names, in_tree = _asked(base + suffix, kind, ahead, has_path=":" in suffix)
        return self._objects.begin(key, names, ahead=in_tree)

    async def resolve(
        self,
        key: ReplicaKey,
        snapshot: RefsSnapshot,
        revision: str,
        kind: ObjectKind | None = None,
        *,
        ahead: TreeAhead | None = None,
    ) -> ObjectInfo:
        """Find the object that `revision` names."""
        base, suffix = _split(revision)
        oid = _named(snapshot, base, revision)
        start = oid or base
        names, next_names = _asked(f"{start}{suffix}", kind, ahead, has_path=":" in suffix)
        found, *peeled = await self._objects.look_up(key, names, ahead=next_names)
        if found is None:
            if oid is not None and not suffix and oid != base:
                raise Corrupt("a reference leads to an object that is missing", revision=revision, oid=oid)
            raise NotFound("unknown revision", revision=revision)
        result = peeled[0] if peeled else found
        if result is None or (kind is not None and result.kind is not kind):
            assert kind is not None
            raise InvalidRequest(f"revision is not a {kind.value}", revision=revision, kind=found.kind.value)
        return result


def _asked(wanted: str, kind: ObjectKind | None, ahead: TreeAhead | None, *, has_path: bool) -> tuple[list[str], Ahead]:
    """The names that tell what a revision is, and those that will be asked for after them."""
    names = [wanted, f"{wanted}^{{{kind.value}}}"] if kind is not None and not has_path else [wanted]
    in_tree = NOTHING_AHEAD if ahead is None or has_path else _below(f"{wanted}^{{tree}}", ahead)
    if kind is ObjectKind.COMMIT:  # who asks for a commit reads it next
        return names, Ahead(in_tree.infos, [names[-1], *in_tree.contents])
    return names, in_tree


def _below(tree: str, ahead: TreeAhead) -> Ahead:
    """The names of what will be asked for in a tree."""
    return Ahead(
        [name_in(tree, path) for path in ahead.entries],
        [name_in(tree, path) if path else tree for path in ahead.trees],
    )


def _split(revision: str) -> tuple[str, str]:
    """Base and suffix of a revision; checks both."""
    if len(revision.encode(errors="surrogatepass")) > REVISION_BYTES_MAX:
        raise InvalidRequest("revision is too long", bytes_max=REVISION_BYTES_MAX)
    found = _BASE.match(revision)
    assert found is not None
    base, suffix = found.group(), revision[found.end() :]
    if (
        not _SUFFIX.match(suffix)
        or (not base and revision)
        or base.startswith("-")
        or "@{" in base
        or ".." in base
        or re.search(r"[\x00-\x20\x7f\ud800-\udfff]", base)
    ):
        raise InvalidRequest("not a revision that can be asked for here", revision=revision[:200])
    return HEAD if base in {"", "@"} else base, suffix


def _named(snapshot: RefsSnapshot, base: str, revision: str) -> ObjectId | None:
    """The id that `base` stands for; None for what may be an abbreviated one."""
    if len(base) == (64 if snapshot.object_format == "sha256" else 40) and re.fullmatch("[0-9a-f]+", base):
        return ObjectId(base)
    found = find_names(snapshot.refs, base)
    if len(found) > 1:
        raise InvalidRequest("ambiguous name; use the full one", revision=revision, candidates=", ".join(found))
    if found:
        oid = _followed(snapshot, found[0])
        if oid is None:
            raise NotFound("the branch has no commit yet", revision=revision, ref=found[0])
        return oid
    if not _ABBREVIATED.match(base):
        raise NotFound("unknown revision", revision=revision)
    return None


def _followed(snapshot: RefsSnapshot, name: RefName) -> ObjectId | None:
    for _ in range(_SYMBOLIC_DEPTH_MAX):
        value = snapshot.refs.get(name, RefValue(""))
        target = symbolic_target(value)
        if target is None:
            return ObjectId(value) if value else None
        name = target
    return None
