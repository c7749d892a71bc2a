"""The client of one server: predictions, what it serves, and its registry."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Self

from onnxlet.client import moves, registry
from onnxlet.client.metadata import Metadata, read_metadata
from onnxlet.client.registry import Version
from onnxlet.client.splitting import path_of, predict_in_parts
from onnxlet.client.transport import Transport
from onnxlet.errors import InvalidInputError, NotExplainableError, RejectedModelError, UnavailableError
from onnxlet.values.aliases import Alias, HistoryEntry
from onnxlet.values.headers import ALIAS, FALLBACK, MODEL_VERSION, ROUTING_KEY, STALE
from onnxlet.values.keys import PRODUCTION
from onnxlet.values.refs import Ref, check_alias_name, check_model_name, parse_ref

if TYPE_CHECKING:
    from onnxlet.client.predictions import Predictions
    from onnxlet.explain.answer import Explanation
    from onnxlet.values.tensors import Tensor

TIMEOUT = 60.0
RETRIES = 4
PROBABILITIES = "probabilities"


def connect(url: str, auth: str | None = None, *, timeout: float = TIMEOUT, retries: int = RETRIES) -> Client:
    """A client of the server at `url`: that of `onnxlet serve`, or a deployed API. Nothing is sent yet.

    `auth` is "iam" to sign requests with your AWS credentials, which needs `onnxlet[client]`; or a bearer token; or
    None. `timeout` is how many seconds an answer may take, `retries` how often a request is repeated while the server
    is busy or out of reach, ever more slowly; a server that says when to come back (Retry-After) is obeyed.

        client = onnxlet.connect("http://127.0.0.1:8080")
        client.predict("diagnosis", patients).label

    Raises InvalidInputError if the URL or `auth` can be none, MissingExtraError, AccessDeniedError without credentials.
    """
    return Client(Transport(url, auth, timeout=timeout, retries=retries))


class Client:
    """Asks one server, which `connect` names. May be used from several threads at once.

    Every method raises the errors of `onnxlet.errors`: those that the server answers with, with `status` and
    `request_id` in their context; UnavailableError if it does not answer; AccessDeniedError if it wants to know who
    asks.
    """

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self._known: dict[Ref, Metadata] = {}
        """Of versions; and of the one that an alias led to last."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<onnxlet client of {self._transport.url}>"

    def close(self) -> None:
        """Close the connections that are kept open between requests."""
        self._transport.close()

    def ready(self) -> bool:
        """Whether the server answers, and its store does. Asks once."""
        try:
            self._transport.get("/v2/health/ready", retry=False)
        except UnavailableError:
            return False
        return True

    # --- predictions --------------------------------------------------------------------------------------------------

    def predict(
        self,
        ref: str | Ref,
        X: Any,  # noqa: ANN401, N803 - whatever scikit-learn takes, by its name there
        *,
        outputs: Sequence[str] | None = None,
        routing_key: str | None = None,
        batch_size: int | None = None,
    ) -> Predictions:
        """What a version answers: `ref` is `diagnosis`, `diagnosis:7` or `diagnosis@candidate`.

        `X` is a DataFrame or a dict of columns by name; an array, or a list of rows, in the model's own order; a list
        of records; a list of pictures, as bytes or files, for models that read such; or a dict of a model's tensors.
        None, NaN and pandas' NA are missing values, for models that take some. `outputs` are those wanted, all if None.
        Callers with the same `routing_key` get the same version where an alias routes to several.

        Rows for which one request is too small are sent in several, of at most `batch_size` rows, to the version that
        answered the first. Raises InvalidInputError for rows that the model does not take, ConflictError if another
        version answered in between.
        """
        target = ref if isinstance(ref, Ref) else parse_ref(ref)
        if batch_size is not None and batch_size < 1:
            raise InvalidInputError(f"batch_size counts rows, and cannot be {batch_size}")

        def predict(metadata: Metadata) -> Predictions:
            return self._predict(target, metadata, X, outputs, routing_key, batch_size)

        known = self._known.get(target)
        if known is None:
            return predict(self.metadata(target))
        try:
            return predict(known)
        except InvalidInputError:
            current = self.metadata(target)  # the alias may have moved to a version that takes something else
            if current.version == known.version:
                raise
            return predict(current)

    def predict_proba(self, ref: str | Ref, X: Any, *, batch_size: int | None = None) -> Tensor:  # noqa: ANN401, N803
        """The probabilities of a classifier's classes [N, classes], as `predict` has them.

        Raises InvalidInputError if the model gives none.
        """
        predictions = self.predict(ref, X, batch_size=batch_size)
        if PROBABILITIES not in predictions:
            raise InvalidInputError(f"{ref!r} gives no probabilities, only {', '.join(map(repr, predictions))}")
        return predictions[PROBABILITIES]

    def explain(self, ref: str | Ref, X: Any, **asked: Any) -> Explanation:  # noqa: ANN401, N803
        """How much each column moves the answers to these rows, in one request: see docs/explanations.md.

        `asked` are method, output, scale, classes, seed, max_evaluations, max_ms, above and overlay. `attributions` of
        the answer are [rows, columns, classes]. Raises NotExplainableError where the version or the method cannot do
        it, and as `predict`.
        """
        from onnxlet.client.explanations import read_explanation, write_question
        from onnxlet.client.rows import read_rows

        target = ref if isinstance(ref, Ref) else parse_ref(ref)
        rows = read_rows(X, self.metadata(target))
        question = write_question(rows.body(0, rows.count), asked)
        try:
            return read_explanation(self._transport.post(path_of(target) + ":explain", question, {}).json())
        except RejectedModelError as error:  # what the status 422 means elsewhere
            raise NotExplainableError(error.detail, **error.context) from error

    def metadata(self, ref: str | Ref) -> Metadata:
        """The version that a ref means now, and what it takes and gives."""
        target = ref if isinstance(ref, Ref) else parse_ref(ref)
        metadata = read_metadata(self._transport.get(path_of(target) + "/metadata").json())
        self._known[Ref(target.model, version=metadata.version)] = metadata
        return metadata

    def _predict(  # noqa: PLR0917 - those of `predict`
        self,
        ref: Ref,
        metadata: Metadata,
        X: Any,  # noqa: ANN401, N803
        outputs: Sequence[str] | None,
        routing_key: str | None,
        batch_size: int | None,
    ) -> Predictions:
        from onnxlet.client.predictions import Predictions, read_outputs
        from onnxlet.client.rows import read_rows

        metadata.check_outputs(outputs or ())
        headers = {} if routing_key is None else {ROUTING_KEY: routing_key}
        parts = predict_in_parts(self._transport, ref, read_rows(X, metadata), headers, batch_size)
        first = parts[0].response.headers
        answered = Ref(ref.model, version=int(first.get(MODEL_VERSION, metadata.version)))
        if answered.version != metadata.version:
            current = self._known[ref] = self._known.get(answered) or self.metadata(answered)
            if current.signatures != metadata.signatures:  # the rows were read for the inputs of another version
                predictions = self._predict(answered, current, X, outputs, None, batch_size)
                predictions.alias = first.get(ALIAS)
                return predictions
        self._known[ref] = metadata = self._known[answered]
        tensors = read_outputs([(part.rows, part.response.body) for part in parts], metadata.outputs)
        return Predictions(
            {name: tensors[name] for name in outputs or tensors},
            model=ref.model,
            version=metadata.version,
            alias=first.get(ALIAS),
            stale=any(part.response.headers.get(STALE) == "true" for part in parts),
            fallback=any(part.response.headers.get(FALLBACK) == "true" for part in parts),
            index=getattr(X, "index", None) if hasattr(X, "columns") else None,
        )

    # --- the registry -------------------------------------------------------------------------------------------------

    def models(self) -> list[str]:
        """The names of all models."""
        return registry.models(self._transport)

    def versions(self, model: str) -> list[Version]:
        """A model's versions by number, those that were begun and not finished too. Raises ModelNotFoundError."""
        return registry.versions(self._transport, model)

    def aliases(self, model: str) -> dict[str, Alias]:
        """A model's aliases by name: what each routes to, and its last move. Raises ModelNotFoundError."""
        return registry.aliases(self._transport, model)

    def history(self, model: str, alias: str = PRODUCTION) -> list[HistoryEntry]:
        """Every move of an alias, oldest first. Raises ModelNotFoundError, AliasNotFoundError."""
        return registry.history(self._transport, model, alias)

    def promote(
        self, model: str, version: int, *, alias: str = PRODUCTION, why: str = "", force: bool = False
    ) -> Alias:
        """Let an alias route to a version, which is refused if its accuracy contract does not hold, unless `force`.

        The alias is moved once or not at all, whatever happens to the connection; see `moves`. Where it routes to the
        version already nothing is written, and its `sequence` is the one before. Raises
        PreconditionFailedError if somebody else moved it meanwhile, ContractFailedError, VersionNotFoundError.
        """
        move = moves.promotion(check_model_name(model), version, alias=check_alias_name(alias), why=why, force=force)
        return moves.execute(move, self._transport)

    def rollback(self, model: str, *, alias: str = PRODUCTION, why: str = "", force: bool = False) -> Alias:
        """Let an alias route to what it routed to before, once or not at all, as `promote` does.

        With `force` and a reason also where its history is broken.

        Raises NothingToRollBackError, PreconditionFailedError if somebody else moved it meanwhile.
        """
        move = moves.rollback(check_model_name(model), alias=check_alias_name(alias), why=why, force=force)
        return moves.execute(move, self._transport)
