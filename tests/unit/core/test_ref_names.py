"""Names of references mean what gitrevisions(7) says."""

from __future__ import annotations

from meshnode.base.ids import RefName
from meshnode.core.refs import find_names


def test_a_full_name_means_itself_and_a_short_one_all_that_fit() -> None:
    names = ["HEAD", "refs/heads/a", "refs/tags/a", "refs/heads/refs/heads/a", "refs/remotes/o/HEAD", "refs/x/a"]
    refs = {RefName(name) for name in names}
    for text, wanted in {
        "HEAD": ["HEAD"],
        "refs/heads/a": ["refs/heads/a"],
        "a": ["refs/tags/a", "refs/heads/a"],
        "x/a": ["refs/x/a"],
        "o": ["refs/remotes/o/HEAD"],
        "refs/heads/b": [],
        "": [],
    }.items():
        assert find_names(refs, text) == wanted
