"""Every target holds for the inputs that are kept and for examples; the engine finds more (`make fuzz`)."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fuzz import targets
from tests.fuzz.inputs import Draw, damaged

EXAMPLES = 40
CORPUS_BYTES_MAX = 1 << 20


@pytest.mark.parametrize("name", targets.names())
def test_kept_inputs_hold(name: str) -> None:
    target = targets.load(name)
    paths = targets.kept(name)
    assert paths, f"no inputs are kept for {name}: run make fuzz TARGET={name}"
    for path in paths:
        try:
            target.check(path.read_bytes())
        except BaseException as error:
            error.add_note(f"input: {path}")
            raise


@pytest.mark.parametrize("name", targets.names())
def test_examples_hold(name: str) -> None:
    target = targets.load(name)
    settings(max_examples=EXAMPLES)(given(target.examples)(target.check))()


@pytest.mark.parametrize("name", targets.names())
def test_damaged_examples_hold(name: str) -> None:
    target = targets.load(name)
    drawn = st.tuples(target.examples, st.binary(max_size=24)).map(lambda pair: damaged(pair[0], Draw(pair[1])))
    settings(max_examples=EXAMPLES)(given(drawn)(target.check))()


def test_corpus_is_small_and_belongs_to_targets() -> None:
    assert {path.name for path in targets.CORPUS.iterdir()} <= set(targets.names())
    sizes = [path.stat().st_size for name in targets.names() for path in targets.kept(name)]
    assert sum(sizes) < CORPUS_BYTES_MAX
    assert max(sizes) <= targets.INPUT_BYTES_MAX
