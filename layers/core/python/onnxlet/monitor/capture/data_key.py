"""The data key: what hashes of captured columns are made with. It never lies in the store.

Whoever has it can try every birth date there is in half a second. Each model and column has a key of its own, derived
from it, so that equal values of two columns have unequal hashes.
"""

from __future__ import annotations

import binascii
import hmac
import re
from collections.abc import Callable
from pathlib import Path
from urllib.parse import unquote, urlsplit

from onnxlet.errors import InvalidInputError, UnavailableError
from onnxlet.monitor.capture.aws_call import call_aws
from onnxlet.values.canonical import canonical

SHORTEST = 16
"""Bytes of a key."""
_PURPOSE = "onnxlet capture 1"
_ARN = re.compile(r"arn:[a-z-]+:secretsmanager:(?P<region>[a-z0-9-]+):.+")


class DataKey:
    """A key that others are derived from. It shows itself to nobody."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    def derive(self, model: str, *purpose: str) -> bytes:
        """The 32 bytes for one purpose of a model: HMAC-SHA256 over both, one block of HKDF's expansion (RFC 5869)."""
        return hmac.digest(self._secret, canonical([_PURPOSE, model, *purpose]) + b"\x01", "sha256")

    def __repr__(self) -> str:
        return "DataKey(…)"


def open_data_key(reference: str) -> DataKey:
    """The key that lies at `reference`, the setting `capture_key`:

        file:///run/secrets/capture.key     64 hexadecimal digits, as `openssl rand -hex 32` writes them
        hex:…                               the digits themselves, for trying things out
        arn:aws:secretsmanager:…            a secret of Secrets Manager that holds the digits, or the bytes
        kms:…                               a data key encrypted by KMS, in base64

    Raises InvalidInputError for what is none of these or holds no key, UnavailableError where AWS does not answer.
    """
    if not reference:
        raise InvalidInputError(
            "the policy hashes, and no key is set: make one with `openssl rand -hex 32` and let ONNXLET_CAPTURE_KEY "
            "say where it lies"
        )
    if _ARN.fullmatch(reference):
        return DataKey(_check(_read_secret(reference)))
    scheme, _, rest = reference.partition(":")
    if scheme not in _READERS:
        raise InvalidInputError(
            "ONNXLET_CAPTURE_KEY is none of file:///path, hex:…, kms:…, and no secret's ARN"  # never the value itself
        )
    return DataKey(_check(_READERS[scheme](rest)))


def _check(secret: bytes) -> bytes:
    if len(secret) < SHORTEST:
        raise InvalidInputError(f"the capture key has {len(secret)} bytes, it needs {SHORTEST} or more")
    return secret


def _parse(text: str) -> bytes:
    try:
        return binascii.unhexlify(text.strip())
    except (ValueError, binascii.Error):
        raise InvalidInputError("the capture key is not hexadecimal: `openssl rand -hex 32` makes one") from None


def _read_file(path: str) -> bytes:
    try:
        return _parse(Path(unquote(urlsplit(path).path)).read_text("ascii"))
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text"
        raise InvalidInputError(f"the capture key at {path!r} cannot be read: {reason}") from None


def _read_secret(arn: str) -> bytes:
    match = _ARN.fullmatch(arn)
    region = match["region"] if match else ""
    answer = call_aws("secretsmanager", "secretsmanager.GetSecretValue", {"SecretId": arn}, region=region)
    if "SecretBinary" in answer:
        return _from_base64(answer["SecretBinary"])
    return _parse(answer.get("SecretString", ""))


def _decrypt(ciphertext: str) -> bytes:
    return _from_base64(call_aws("kms", "TrentService.Decrypt", {"CiphertextBlob": ciphertext}).get("Plaintext", ""))


def _from_base64(text: str) -> bytes:
    try:
        return binascii.a2b_base64(text)
    except ValueError:
        raise UnavailableError("AWS answered with a key that is no base64") from None


_READERS: dict[str, Callable[[str], bytes]] = {"file": _read_file, "hex": _parse, "kms": _decrypt}
