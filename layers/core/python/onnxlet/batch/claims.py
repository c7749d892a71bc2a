"""Claims: the first delivery of a source pins who scores it, and every other delivery follows.

A claim is one object for a source's key and identity, written create-only below `batch/claims/`: of deliveries at the
same moment one writes it and the others read it, and a promotion in between changes nothing. A new upload has another
identity, and so a claim of its own.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import msgspec

from onnxlet.batch.book import Scorer, SourceFile
from onnxlet.batch.scoring import describe, load_ref
from onnxlet.errors import DigestMismatchError, ObjectNotFoundError, PreconditionFailedError
from onnxlet.values.canonical import canonical
from onnxlet.values.keys import BATCH_CLAIMS, BATCH_IN
from onnxlet.values.refs import Ref
from onnxlet.values.timestamps import format_timestamp, utc_now

if TYPE_CHECKING:
    from onnxlet.serving.model import Model
    from onnxlet.serving.predictor import Predictor
    from onnxlet.store import Store

SCHEMA = 1


class Claim(msgspec.Struct, frozen=True, kw_only=True):
    """The version that scores a source, whoever delivers it and whenever. `claimed` is RFC 3339 in UTC."""

    schema: int = SCHEMA
    source: SourceFile
    scorer: Scorer
    claimed: str


_decoder = msgspec.json.Decoder(Claim)


def claim_key(source: SourceFile) -> str:
    """Where the claim of a source lies; identities are hashed, for S3's version ids may be long."""
    return f"{claims_prefix(source.key)}{hashlib.sha256(source.identity.encode()).hexdigest()[:32]}.json"


def claims_prefix(key: str) -> str:
    """All claims of the sources that were uploaded under a key."""
    return f"{BATCH_CLAIMS}{key.removeprefix(BATCH_IN)}/"


def load_claimed(store: Store, predictor: Predictor, ref: Ref, source: SourceFile) -> tuple[Model, Scorer]:
    """The model that scores this source: the claimed version, else the one that `ref` means now, which is claimed.

    Raises DigestMismatchError if the claimed version is not what it was, and as `Predictor.load` does.
    """
    claim = _read(store, source)
    if claim is None:
        served = load_ref(predictor, ref, source.key)
        claim = _create(store, source, describe(served))
        if claim.scorer == describe(served):
            return served.model, claim.scorer
    served = predictor.load(Ref(claim.scorer.model, version=claim.scorer.version))
    if served.digest != claim.scorer.digest:
        raise DigestMismatchError(
            f"version {claim.scorer.version} of {claim.scorer.model!r} was claimed for {source.key!r} with digest "
            f"{claim.scorer.digest} and has {served.digest} now"
        )
    return served.model, claim.scorer


def decode_claim(data: bytes) -> Claim:
    """Read a claim. Raises msgspec.MsgspecError for what is none."""
    return _decoder.decode(data)


def _read(store: Store, source: SourceFile) -> Claim | None:
    try:
        return _decoder.decode(store.get(claim_key(source)).data)
    except ObjectNotFoundError:
        return None


def _create(store: Store, source: SourceFile, scorer: Scorer) -> Claim:
    """Claim the source, or learn who did."""
    claim = Claim(source=source, scorer=scorer, claimed=format_timestamp(utc_now()))
    try:
        store.create(claim_key(source), canonical(claim))
    except PreconditionFailedError:
        return _decoder.decode(store.get(claim_key(source)).data)
    return claim
