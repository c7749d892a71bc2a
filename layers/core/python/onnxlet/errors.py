"""Every error the package raises on purpose. They know no transport; `problem` and `protocols` map them.

OnnxletError
├── InvalidInputError            what the caller sent is wrong
│   ├── InvalidNameError         a model name, alias, version or ref that cannot be one
│   ├── UnknownLabelError        a TensorFlow Serving label that no alias has
│   └── PreconditionRequiredError  a write that does not say which state it changes
├── TooLargeError
│   ├── RequestTooLargeError
│   └── ResponseTooLargeError
├── NotFoundError
│   ├── ModelNotFoundError
│   ├── VersionNotFoundError
│   ├── AliasNotFoundError
│   ├── ObjectNotFoundError      a key the store does not hold
│   └── RouteNotFoundError       a URL nothing answers
├── MethodNotAllowedError
├── NotAcceptableError           an answer of a form that cannot be carried to the caller
├── AccessDeniedError            who asks is not known, or may not do this
├── ConflictError
│   ├── PreconditionFailedError  a conditional write lost: the key exists, or has another ETag
│   ├── NothingToRollBackError
│   ├── VersionInUseError        an alias routes to it, or did lately
│   └── ContractFailedError      a version's accuracy contract does not hold
│       ├── ContractMissingError  it has none, and the registry requires one
│       └── ReferenceRefusedError it is held to answers of a kind that the registry does not take
├── IntegrityError               bytes are not those that were promised
│   ├── DigestMismatchError
│   ├── GoldenMismatchError      the model no longer gives its golden answers on this machine
│   └── HistoryBrokenError       the hash chain of an alias does not hold
├── RejectedModelError           an ONNX file that will not be published or loaded
│   └── UnknownStepError         its manifest declares a step that only a newer onnxlet knows
├── ExecutionError               the model itself failed on this input
├── NotExplainableError          an answer cannot be explained, or not in the way that was asked for
├── UnavailableError             try again later
│   ├── StoreUnavailableError
│   └── DeadlineExceededError
├── ConversionError              a model that cannot be converted, or changed when it was
├── TrustRequiredError           loading this file can run code
├── MissingExtraError            an optional part of the package is not installed
└── InternalError                something failed that nobody foresaw
"""

from __future__ import annotations

import re
from typing import ClassVar


class OnnxletError(Exception):
    """Base of all. `title` names the kind, `detail` this case, `context` its values.

    Messages are lower case without a full stop, with values in quotes, and say what to do about it.
    """

    title: ClassVar[str] = "Error"

    def __init__(self, detail: str, **context: object) -> None:
        super().__init__(detail)
        self.detail = detail
        self.context = context

    @classmethod
    def slug(cls) -> str:
        """The kind in kebab case: `model-not-found`; it ends the problem type's URI."""
        return re.sub(r"(?<=[a-z])(?=[A-Z])", "-", cls.__name__.removesuffix("Error")).lower()


class InvalidInputError(OnnxletError):
    """What the caller sent is wrong."""

    title = "Invalid input"


class InvalidNameError(InvalidInputError):
    """A model name, alias, version or ref that cannot be one."""

    title = "Invalid name"


class UnknownLabelError(InvalidInputError):
    """A TensorFlow Serving label that no alias has (its servers answer 400, not 404)."""

    title = "Unknown label"


class PreconditionRequiredError(InvalidInputError):
    """A write that must say which state it changes (RFC 6585), so that no change of another is lost."""

    title = "Precondition required"


class TooLargeError(OnnxletError):
    """More bytes than a door takes or gives."""

    title = "Too large"


class RequestTooLargeError(TooLargeError):
    """A request body over the limit, before or after decompression."""

    title = "Request too large"


class ResponseTooLargeError(TooLargeError):
    """An answer that Lambda could not carry."""

    title = "Response too large"


class NotFoundError(OnnxletError):
    """Something named does not exist."""

    title = "Not found"


class ModelNotFoundError(NotFoundError):
    """No model has this name."""

    title = "Model not found"


class VersionNotFoundError(NotFoundError):
    """The model has no such version, or it may not be served."""

    title = "Version not found"


class AliasNotFoundError(NotFoundError):
    """The model has no such alias."""

    title = "Alias not found"


class ObjectNotFoundError(NotFoundError):
    """The store holds nothing under this key."""

    title = "Object not found"


class RouteNotFoundError(NotFoundError):
    """Nothing answers at this URL."""

    title = "No such page"


class MethodNotAllowedError(OnnxletError):
    """The URL exists, the HTTP method does not fit it."""

    title = "Method not allowed"


class NotAcceptableError(OnnxletError):
    """The answer has a form that cannot be carried to the caller on this way: a stream, or bytes that are no text."""

    title = "Not acceptable"


class AccessDeniedError(OnnxletError):
    """A server does not know who asks, or does not let them."""

    title = "Access denied"


class ConflictError(OnnxletError):
    """The registry's state does not allow this now."""

    title = "Conflict"


class PreconditionFailedError(ConflictError):
    """A conditional write lost: the key exists already, or its ETag is another."""

    title = "Precondition failed"


class NothingToRollBackError(ConflictError):
    """The alias has no earlier routes to go back to."""

    title = "Nothing to roll back to"


class VersionInUseError(ConflictError):
    """The version is servable: an alias routes to it, or did lately."""

    title = "Version in use"


class ContractFailedError(ConflictError):
    """The version's accuracy contract does not hold."""

    title = "Accuracy contract failed"


class ContractMissingError(ContractFailedError):
    """The version has no accuracy contract, and the registry requires one."""

    title = "Accuracy contract missing"


class ReferenceRefusedError(ContractFailedError):
    """The version is held to answers of a kind that the registry does not take."""

    title = "Reference refused"


class IntegrityError(OnnxletError):
    """Bytes are not those that were promised."""

    title = "Integrity failure"


class DigestMismatchError(IntegrityError):
    """An artifact's bytes do not have the digest its manifest or alias pins."""

    title = "Digest mismatch"


class GoldenMismatchError(IntegrityError):
    """The model no longer gives its golden answers on this machine."""

    title = "Golden cases failed"


class HistoryBrokenError(IntegrityError):
    """The hash chain of an alias's history does not hold."""

    title = "History broken"


class RejectedModelError(OnnxletError):
    """An ONNX file that will not be published or loaded."""

    title = "Model rejected"


class UnknownStepError(RejectedModelError):
    """The manifest declares a step that this onnxlet does not know: a newer one published the version."""

    title = "Unknown step"


class ExecutionError(OnnxletError):
    """The model itself failed on this input, a token id out of its vocabulary say."""

    title = "Model failed"


class NotExplainableError(OnnxletError):
    """This model's answers cannot be explained, or not by the method that was asked for; the message says why."""

    title = "Not explainable"


class UnavailableError(OnnxletError):
    """Not now; trying again later may work."""

    title = "Unavailable"


class StoreUnavailableError(UnavailableError):
    """The store did not answer, or refused us."""

    title = "Store unavailable"


class DeadlineExceededError(UnavailableError):
    """Loading or running a model took longer than it may."""

    title = "Deadline exceeded"


class ConversionError(OnnxletError):
    """A model that cannot be converted, or gave other answers once it was."""

    title = "Conversion failed"


class TrustRequiredError(OnnxletError):
    """Loading this file can run code that it carries, so it must be trusted explicitly."""

    title = "Trust required"


class MissingExtraError(OnnxletError):
    """An optional part of the package is needed and not installed."""

    title = "Missing extra"


class InternalError(OnnxletError):
    """Something failed that nobody foresaw: the log has the cause, the caller is told nothing internal."""

    title = "Internal error"
