"""What kind of explanations a version has: of columns, or of pictures."""

from __future__ import annotations

from typing import Protocol

from onnxlet.explain.answer import Explanation, Planned
from onnxlet.explain.interface import Cancellation, Subject
from onnxlet.explain.request import ExplanationRequest
from onnxlet.values.signature import IMAGES
from onnxlet.values.tensors import Tensors


class VersionExplanations(Protocol):
    """The explanations of one version."""

    @property
    def nbytes(self) -> int:
        """Bytes that they keep in memory."""
        ...

    def explain(
        self,
        inputs: Tensors,
        signature: str,
        request: ExplanationRequest,
        *,
        due: float | None = None,
        cancellation: Cancellation = None,
    ) -> Explanation:
        """Explain rows that were sent to a signature. Raises NotExplainableError, InvalidInputError."""
        ...

    def plan(self, request: ExplanationRequest) -> Planned:
        """What explaining rows will give. Raises as `explain`, and NotExplainableError where rows have no columns."""
        ...


def explanations_of(subject: Subject) -> VersionExplanations:
    """Those of a version. Raises NotExplainableError for a version whose inputs cannot be explained."""
    if IMAGES in subject.signatures:
        from onnxlet.explain.pictures.explaining import PictureExplanations

        return PictureExplanations(subject)
    from onnxlet.explain.explaining import Explanations

    return Explanations(subject)
