"""Plans of multipart uploads: whatever the chunks, the parts are their bytes and S3 takes them."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from onnxlet.batch.large.uploading import Chunk, Copied, Extent, plan_upload

DATA = bytes(range(256)) * 4
LEAST, MOST = 5, 40

chunks = st.lists(
    st.one_of(
        st.binary(max_size=12),
        st.tuples(st.integers(0, 900), st.integers(0, 120)).map(lambda it: Extent("key", it[0], it[0] + it[1])),
    ),
    max_size=12,
)


def _read(chunk: Chunk) -> bytes:
    return chunk if isinstance(chunk, bytes) else DATA[chunk.start : chunk.end]


@given(chunks)
def test_the_parts_are_all_bytes_in_their_order_and_of_sizes_that_s3_takes(given_chunks: list[Chunk]) -> None:
    parts = list(plan_upload(given_chunks, LEAST, MOST))
    made = [_read(part.extent) if isinstance(part, Copied) else b"".join(map(_read, part.chunks)) for part in parts]
    assert b"".join(made) == b"".join(map(_read, given_chunks))
    assert all(len(part) >= LEAST for part in made[:-1])
    assert all(len(part) <= MOST + 2 * LEAST for part in made)
    assert all(part.extent.size <= MOST for part in parts if isinstance(part, Copied))


def test_large_objects_are_copied_and_what_is_small_is_sent_with_what_follows() -> None:
    parts = list(plan_upload([b"head\n", Extent("a", 0, 50), Extent("b", 0, 3), Extent("c", 0, 30)], 10, 100))
    assert [isinstance(part, Copied) for part in parts] == [False, True, False, True]
    assert parts[1] == Copied(Extent("a", 5, 50))
    assert parts[3] == Copied(Extent("c", 7, 30))
