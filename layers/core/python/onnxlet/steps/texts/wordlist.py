"""Word lists: the artifact that holds what a vectorizer learned, and the words that it drops."""

from __future__ import annotations

import msgspec

from onnxlet.errors import RejectedModelError


class WordList(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """`words` in the order of their columns, none where they are hashed; `frequencies` are the inverse ones of
    documents, column by column, if there are some; `stop_words` are dropped.
    """

    words: tuple[str, ...] = ()
    frequencies: tuple[float, ...] = ()
    stop_words: tuple[str, ...] = ()


def encode_word_list(words: WordList) -> bytes:
    """The artifact. Raises UnicodeEncodeError for a word with half of a surrogate pair."""
    return msgspec.json.encode(words)


def decode_word_list(data: bytes, artifact: str) -> WordList:
    """Read the artifact of this name. Raises RejectedModelError if it is none."""
    try:
        return msgspec.json.decode(data, type=WordList)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise RejectedModelError(f"{artifact!r} is no list of words: {error}") from error
