"""Files of references as damage leaves them: Corrupt, or references whose values can be used and written again."""

from __future__ import annotations

from hypothesis import strategies as st

from meshnode.base.errors import Corrupt
from meshnode.base.ids import HEAD, parse_object_id, symbolic_target
from meshnode.core.refs import digest_of
from meshnode.git.refs import read_refs, write_packed, write_symbolic
from tests.fuzz.inputs import Draw, directory
from tests.fuzz.values import OIDS, REF_NAMES

HEADER = "# pack-refs with: peeled fully-peeled sorted \n"
_LINE = st.one_of(
    st.builds(lambda oid, name: f"{oid} {name}\n", OIDS, REF_NAMES),
    OIDS.map(lambda oid: f"^{oid}\n"),
    st.sampled_from(
        ["# x\n", "\n", "^\n", "^x\n", "x", "0" * 40 + " \n", "0" * 40 + " HEAD\n", "0" * 40 + "\trefs/heads/x\n"]
    ),
)
_LOOSE = st.sampled_from(
    [
        "ref: refs/heads/main\n",
        "ref:refs/heads/main",
        "ref: \n",
        "ref: ../x",
        "1" * 40 + "\n",
        "2" * 64,
        "",
        "x\n",
        "\xff",
    ]
)
EXAMPLES = st.builds(
    lambda form, head, loose, header, lines: (
        bytes([form, len(head.encode())]) + head.encode() + bytes([len(loose.encode())]) + loose.encode()
        + (header + "".join(lines)).encode()
    ),
    st.integers(0, 1), _LOOSE, _LOOSE, st.sampled_from([HEADER, "", "# pack-refs with: peeled \n"]),
    st.lists(_LINE, max_size=5),
)  # fmt: skip


def check_refs_files(data: bytes) -> None:
    draw = Draw(data)
    object_format = draw.pick(("sha1", "sha256"))
    git_dir = directory("refs")
    loose = git_dir / "refs" / "heads" / "main"
    loose.parent.mkdir(parents=True, exist_ok=True)
    (git_dir / "HEAD").write_bytes(draw.take(80))
    content = draw.take(80)
    if content:
        loose.write_bytes(content)
    else:
        loose.unlink(missing_ok=True)
    (git_dir / "packed-refs").write_bytes(draw.rest())
    try:
        found = read_refs(git_dir, object_format)
    except Corrupt:
        return
    assert len(digest_of(found.refs)) == 64
    for name, value in found.refs.items():
        assert name.encode()
        assert symbolic_target(value) or parse_object_id(value, object_format=object_format)
    for oid in (*found.peeled.values(), *found.unpeeled.values()):
        assert parse_object_id(oid, object_format=object_format)
    assert found.peeled.keys() <= found.refs.keys()
    assert found.unpeeled.keys() <= found.refs.keys()
    assert found.peeled.keys().isdisjoint(found.unpeeled)
    write_packed(git_dir, found.refs, found.peeled, [])
    write_symbolic(git_dir, HEAD, found.refs.get(HEAD))
    assert read_refs(git_dir, object_format).refs == found.refs
