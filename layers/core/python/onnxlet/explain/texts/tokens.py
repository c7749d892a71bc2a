"""Tokens: what the version's own tokenizer makes of the text."""

from __future__ import annotations

from onnxlet.errors import InvalidInputError, NotExplainableError
from onnxlet.explain.interface import Planning
from onnxlet.explain.texts.by_part import ByPart, Span
from onnxlet.steps.tokenizer import Tokenizer


def plan(planning: Planning) -> ByPart:
    """The method for a version. Raises NotExplainableError for one without a tokenizer."""
    steps = planning.subject.steps
    step = next((step for step in steps.each if isinstance(step, Tokenizer)), None)
    if step is None:
        raise NotExplainableError("the model has no tokenizer: its texts are explained by 'words' or 'sentences'")
    from onnxlet.steps.texts.tokenizing import open_tokenizer

    tokenizer, most = open_tokenizer(step.artifact, steps.read(step.artifact)), step.max_characters

    def split(text: str) -> list[Span]:
        if len(text) > most:
            raise InvalidInputError(f"the text has {len(text)} characters, the model reads {most}: send an excerpt")
        try:
            offsets = tokenizer.encode(text, add_special_tokens=False).offsets
        except Exception as error:  # the library raises nothing more special
            raise InvalidInputError(f"the tokenizer does not take this text: {error}") from error
        return _apart(offsets)

    return ByPart(planning, split, glued=True)


def _apart(offsets: list[Span]) -> list[Span]:
    """The same without what is empty, and with tokens of one character, or that overlap, together."""
    merged: list[Span] = []
    for start, stop in sorted(span for span in set(offsets) if span[0] < span[1]):
        if merged and start < merged[-1][1]:
            merged[-1] = merged[-1][0], max(stop, merged[-1][1])
        else:
            merged.append((start, stop))
    return merged
