import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from msys_track.smtpapi.json import compact
from msys_track.smtpapi.metadata import Trimmed, trim_metadata

THREE = '{"a":1,"b":"ü","c":[]}'
members = st.dictionaries(
    st.text(max_size=8), st.text(max_size=20) | st.integers() | st.lists(st.text(max_size=4))
)


@given(members, st.integers(0, 200))
def test_what_is_kept_is_the_longest_run_of_pairs_that_fits(
    object_: dict[str, object], max_bytes: int
) -> None:
    text, truncated = trim_metadata(compact(object_), max_bytes)
    kept = {} if text is None else json.loads(text)
    pairs = list(object_.items())
    assert list(kept.items()) == pairs[: len(kept)]
    assert truncated == (len(kept) < len(pairs))
    if text is not None:
        assert len(text.encode()) <= max_bytes
    if truncated:
        one_more = dict(pairs[: len(kept) + 1])
        assert len(compact(one_more).encode()) > max_bytes


@pytest.mark.parametrize(
    ("metadata", "max_bytes", "result"),
    [
        (THREE, 15, Trimmed('{"a":1}', truncated=True)),
        (THREE, 16, Trimmed('{"a":1,"b":"ü"}', truncated=True)),
        (THREE, 22, Trimmed('{"a":1,"b":"ü"}', truncated=True)),
        (THREE, 23, Trimmed(THREE, truncated=False)),
        (THREE, 7, Trimmed('{"a":1}', truncated=True)),
        (THREE, 6, Trimmed(None, truncated=True)),
        (THREE, 0, Trimmed(None, truncated=True)),
        # A pair that does not fit hides those after it.
        ('{"a":"long value","b":1}', 12, Trimmed(None, truncated=True)),
        # No metadata is not truncated.
        (None, 0, Trimmed(None, truncated=False)),
        ("{}", 0, Trimmed(None, truncated=False)),
    ],
)
def test_the_limit_counts_bytes_of_compact_utf8(
    metadata: str | None, max_bytes: int, result: Trimmed
) -> None:
    assert trim_metadata(metadata, max_bytes) == result
