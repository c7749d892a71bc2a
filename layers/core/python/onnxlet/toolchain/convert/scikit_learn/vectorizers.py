"""Vectorizers of texts: those whose graph would split or lower texts otherwise than scikit-learn does are refused."""

from __future__ import annotations

from typing import Any

from onnxlet.errors import ConversionError
from onnxlet.toolchain.convert.scikit_learn.parts import all_parts
from onnxlet.toolchain.workbench.table import quoted


def check_vectorizers(estimator: Any) -> None:
    """Raise ConversionError for a vectorizer, anywhere in the estimator, whose texts have no faithful ONNX form."""
    from sklearn.feature_extraction.text import CountVectorizer

    for part in all_parts(estimator):
        # a ColumnTransformer also holds what it was made of, which was never fitted
        vocabulary = getattr(part, "vocabulary_", None) if isinstance(part, CountVectorizer) else None
        if vocabulary is None:
            continue
        name = type(part).__name__
        foreign = sorted(word for word in map(str, vocabulary) if not word.isascii())
        if foreign:
            raise ConversionError(
                f"the {name} has words in its vocabulary that are not ASCII ({quoted(foreign)}), and ONNX splits texts "
                "with such words otherwise than scikit-learn does: fit on texts that are plain ASCII, or serve a "
                "classifier of numbers made from the texts, such as embeddings",
                estimator=name,
            )
        if part.lowercase:
            raise ConversionError(
                f"the {name} lowers texts, for which ONNX Runtime needs the locale en_US.UTF-8, and Lambda's image has "
                "none: fit it with lowercase=False, on texts in lower case, and send such",
                estimator=name,
            )
