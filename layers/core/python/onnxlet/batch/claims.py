"""Claims: the first delivery of a source pins who scores it, and every other delivery follows.

A claim is one object for a source's key and identity, written create-only below `batch/claims/`: of deliveries at the
same moment one writes it and the others read it, and a promotion in between changes nothing. A new upload has another
identity, and so a claim of its own.

A claim ends with its version: the delivery that finds the version deleted removes the claim and fails, so that a book
says why, and the next one claims the version that the ref means then.
"""

from __future__ import annotations

import hashlib
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from onnxlet.batch.book import Scorer, SourceFile
from onnxlet.batch.scoring import describe, load_ref
from onnxlet.errors import (
    DigestMismatchError,
    IntegrityError,
    ModelNotFoundError,
    ObjectNotFoundError,
    PreconditionFailedError,
    VersionNotFoundError,
)
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


class HeldClaim(NamedTuple):
    """A claim as it stands, and its ETag."""

    claim: Claim
    etag: str


_decoder = msgspec.json.Decoder(Claim)


def claim_key(source: SourceFile) -> str:
    """Where the claim of a source lies; identities are hashed, for S3's version ids may be long."""
    return f"{claims_prefix(source.key)}{hashlib.sha256(source.identity.encode()).hexdigest()[:32]}.json"


def claims_prefix(key: str) -> str:
    """All claims of the sources that were uploaded under a key."""
    return f"{BATCH_CLAIMS}{key.removeprefix(BATCH_IN)}/"


def load_claimed(store: Store, predictor: Predictor, ref: Ref, source: SourceFile) -> tuple[Model, Scorer]:
    """The model that scores this source: the claimed version, else the one that `ref` means now, which is claimed.

    Raises VersionNotFoundError if the claimed version was deleted, and the claim is gone then; DigestMismatchError if
    it is not what it was; IntegrityError if the claim cannot be read; and as `Predictor.load` does.
    """
    while (held := _read(store, source)) is None:
        served = load_ref(predictor, ref, source.key)
        if _create(store, source, describe(served)):
            return served.model, describe(served)
    scorer = held.claim.scorer
    try:
        served = predictor.load(Ref(scorer.model, version=scorer.version))
    except (ModelNotFoundError, VersionNotFoundError) as error:
        _give_up(store, source, held)
        raise _deleted_error(ref, source, scorer) from error
    if served.digest != scorer.digest:
        raise DigestMismatchError(
            f"version {scorer.version} of {scorer.model!r} was claimed for {source.key!r} with digest "
            f"{scorer.digest} and has {served.digest} now"
        )
    return served.model, scorer


def decode_claim(data: bytes) -> Claim:
    """Read a claim. Raises msgspec.MsgspecError for what is none."""
    return _decoder.decode(data)


def _read(store: Store, source: SourceFile) -> HeldClaim | None:
    key = claim_key(source)
    try:
        blob = store.get(key)
    except ObjectNotFoundError:
        return None
    try:
        return HeldClaim(decode_claim(blob.data), blob.etag)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise IntegrityError(f"{key!r} is no claim: remove it, and deliver the file again", key=key) from error


def _create(store: Store, source: SourceFile, scorer: Scorer) -> bool:
    """Claim the source; False if another delivery was faster."""
    claim = Claim(source=source, scorer=scorer, claimed=format_timestamp(utc_now()))
    try:
        store.create(claim_key(source), canonical(claim))
    except PreconditionFailedError:
        return False
    return True


def _give_up(store: Store, source: SourceFile, held: HeldClaim) -> None:
    """Remove a claim that nobody can follow, and no other: one that was made anew meanwhile stays."""
    with suppress(PreconditionFailedError):
        store.delete(claim_key(source), etag=held.etag)


def _deleted_error(ref: Ref, source: SourceFile, scorer: Scorer) -> VersionNotFoundError:
    upload = "upload the file under a ref that has a version" if ref.version else "deliver or upload the file again"
    return VersionNotFoundError(
        f"version {scorer.version} of model {scorer.model!r} was deleted before it scored {source.key!r}, which its "
        f"first delivery had claimed for it: {upload}, and the version that the ref means then scores it",
        model=scorer.model,
        version=scorer.version,
    )
