"""A store in a bucket: `s3://bucket/prefix`, through obstore.

Conditions are S3's own: If-None-Match: * creates, If-Match replaces and removes. Everything is written by one
PutObject, because a multipart upload through obstore could not be made conditional: 5 GB at most. Large files are
handed over memory-mapped, not read.

A store that does not answer is given up after about 4 seconds when reading and 8 when writing; more bytes to write get
the time that they need on a slow line. If S3's answer to a conditional write is lost, the write is repeated and may be
refused because it was made the first time: after a PreconditionFailedError callers read the object again.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING

from obstore.exceptions import (
    AlreadyExistsError,
    BaseError,
    GenericError,
    NotModifiedError,
    PreconditionError,
)
from obstore.store import S3Store as Client

from onnxlet.errors import InvalidInputError, StoreUnavailableError
from onnxlet.store import Blob, Entry, Head
from onnxlet.store.aws import account
from onnxlet.store.rules import (
    already_exists_error,
    changed_error,
    check_key,
    check_prefix,
    check_range,
    not_found_error,
    overwritten_error,
    unreadable_error,
)

if TYPE_CHECKING:
    from mmap import mmap
    from pathlib import Path

    from obstore import GetOptions, GetResult, PutMode

CONNECT_SECONDS = 1
READ_SECONDS = 2
"""Seconds without a byte from S3, after which a read is tried again or given up."""
WHOLE_SECONDS = 300
"""Seconds that a read may take as long as bytes arrive."""
WRITE_SECONDS = 7
SLOWEST_UPLOAD = 256 * 1024
"""Bytes per second that a write is given time for, on top of WRITE_SECONDS."""
RETRY_SECONDS = 2.5
"""Seconds after which nothing is tried again."""
RETRIES = 3
IDLE_SECONDS = 15
"""A connection is not used again after this: S3 or a frozen function may have lost it, which costs READ_SECONDS."""
CONFLICTS = 8
"""How often a create is tried that S3 could not decide because of another write at the same moment."""
MAPPED_FROM = 2**20
"""Files from this size on are memory-mapped instead of read."""

_FAILURE = r"(?s)<Code>(.*?)</Code>.*?<Message>(.*?)</Message>"
_UNLISTABLE = "Encountered object with invalid path"
_DENIED = r"status code: 40[13]\b"
_CAUSES = {
    "ConnectionRefused": "the connection was refused",
    "TimedOut": "no answer in time",
    "dns error": "its host name is unknown",
}


class S3Store:
    """Objects in a bucket, below a prefix. Making one sends nothing. Raises InvalidInputError for another URL."""

    def __init__(self, url: str) -> None:
        match = re.fullmatch(r"s3://([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?:/(.*))?", url, re.DOTALL)
        if match is None:
            raise InvalidInputError(f"{url!r} is no S3 store: use s3://bucket or s3://bucket/prefix", store=url)
        self.url = url
        self._bucket = match[1]
        self._prefix = (match[2] or "").removesuffix("/")
        if self._prefix:
            check_key(self._prefix)
        self._account = account()
        self._reader = self._client(READ_SECONDS)
        self._writers: dict[int, Client] = {}

    def get(self, key: str) -> Blob:
        """Read a whole object. Raises ObjectNotFoundError."""
        path = check_key(key)
        with self._errors_translated(key):
            return _blob(self._reader.get(path))

    def get_if_changed(self, key: str, etag: str) -> Blob | None:
        """Read an object unless it still has `etag` (then None). Raises ObjectNotFoundError."""
        path = check_key(key)
        with self._errors_translated(key):
            try:
                return _blob(self._reader.get(path, options={"if_none_match": _quote(etag)}))
            except NotModifiedError:
                return None

    def head(self, key: str) -> Head:
        """Size, ETag and version of an object. Raises ObjectNotFoundError."""
        path = check_key(key)
        with self._errors_translated(key):
            try:
                # the answer to a HEAD has no body, which says what is wrong
                return _head(self._reader.get(path, options={"range": (0, 1)}))
            except GenericError as error:
                if _error_code(error) == "InvalidRange":
                    return _head(self._reader.get(path))  # it is empty
                raise

    def get_range(self, key: str, start: int, length: int, *, etag: str | None = None) -> memoryview:
        """Read `length` bytes from `start`, of the object with `etag` if that is given; fewer where it ends sooner.

        Raises ObjectNotFoundError, PreconditionFailedError if it has another ETag.
        """
        path = check_key(key)
        check_range(start, length)
        # no range is empty in HTTP: of an empty one a byte is read to see whether the object exists
        options: GetOptions = {"range": (start, start + (length or 1))}
        if etag is not None:
            options["if_match"] = _quote(etag)
        with self._errors_translated(key):
            try:
                return memoryview(self._reader.get(path, options=options).bytes())[:length]
            except PreconditionError as error:
                raise overwritten_error(self.url, key, str(etag)) from error
            except GenericError as error:
                if _error_code(error) != "InvalidRange":
                    raise
            if etag is not None and self.head(key).etag != etag:
                raise overwritten_error(self.url, key, etag)
            return memoryview(b"")

    def put(self, key: str, data: bytes | Path) -> str:
        """Write an object (bytes, or a file's), whatever is there; return its ETag."""
        with self._errors_translated(key):
            return self._write(key, data, "overwrite")

    def create(self, key: str, data: bytes | Path) -> str:
        """Write an object that must not exist yet. Raises PreconditionFailedError if it does."""
        for attempt in range(CONFLICTS):
            with self._errors_translated(key):
                try:
                    return self._write(key, data, "create")
                except AlreadyExistsError as error:
                    # 409: another write or delete of this key is under way, and whether it succeeds is open
                    if _error_code(error) != "ConditionalRequestConflict":
                        raise already_exists_error(self.url, key) from error
            _pause(0.05 * 2**attempt)
        raise StoreUnavailableError(f"{key!r} in {self.url!r} is being written by others: try again", key=key)

    def swap(self, key: str, data: bytes | Path, etag: str) -> str:
        """Overwrite an object that must still have `etag`. Raises PreconditionFailedError if it has not, or is gone."""
        with self._conditional(key, etag):
            return self._write(key, data, {"e_tag": _quote(etag)})

    def delete(self, key: str, *, etag: str | None = None) -> None:
        """Remove an object; it is no error if there is none, unless `etag` is given. Raises PreconditionFailedError."""
        path = check_key(key)
        if etag is None:
            with self._errors_translated(key):
                self._writer(0).delete(path)
            return
        with self._conditional(key, etag):
            # obstore has no conditional delete; a client that sends the header with every request does one
            self._client(WRITE_SECONDS, {"If-Match": _quote(etag)}).delete(path)

    def list(self, prefix: str) -> Iterator[Entry]:
        """All objects whose keys start with `prefix`, in the order of their keys."""
        folder, _, _ = check_prefix(prefix).rpartition("/")
        return self._list(folder, prefix)

    def _list(self, folder: str, prefix: str) -> Iterator[Entry]:
        """S3 lists in the order of keys; obstore lists folders, so the rest of the prefix is compared here."""
        with self._errors_translated(prefix):
            for page in self._reader.list(folder or None, chunk_size=1000):
                for listed in page:
                    key = listed["path"]
                    if key.startswith(prefix):
                        yield Entry(key, listed["size"], listed["last_modified"].timestamp())
                    elif key > prefix:
                        return

    def _write(self, key: str, data: bytes | Path, mode: PutMode) -> str:
        path = check_key(key)
        with _opened(data) as content:
            result = self._writer(len(content)).put(path, content, mode=mode, use_multipart=False)
        return _unquote(result["e_tag"])

    def _writer(self, size: int) -> Client:
        """A client that waits as long as writing so many bytes may take: the next power of two."""
        seconds = 1 << (WRITE_SECONDS + size // SLOWEST_UPLOAD).bit_length()
        if seconds not in self._writers:
            self._writers[seconds] = self._client(seconds)
        return self._writers[seconds]

    def _client(self, wait: float, headers: dict[str, str] | None = None) -> Client:
        return Client(
            self._bucket,
            prefix=self._prefix or None,
            config={**self._account.config, "disable_bulk_delete": True},
            client_options={
                "allow_http": self._account.plain_http,
                "connect_timeout": timedelta(seconds=CONNECT_SECONDS),
                "read_timeout": timedelta(seconds=wait),
                "timeout": timedelta(seconds=max(wait, WHOLE_SECONDS)),
                "pool_idle_timeout": timedelta(seconds=IDLE_SECONDS),
                "default_headers": headers or {},
            },
            retry_config={"max_retries": RETRIES, "retry_timeout": timedelta(seconds=RETRY_SECONDS)},
            credential_provider=self._account.credentials,
        )

    @contextmanager
    def _conditional(self, key: str, etag: str) -> Iterator[None]:
        """A write that loses is PreconditionFailedError; a conflict (409) may have lost, and is read again as well."""
        with self._errors_translated(key):
            try:
                yield
            except (PreconditionError, AlreadyExistsError, FileNotFoundError) as error:
                if _error_code(error) == "NoSuchBucket":
                    raise
                raise changed_error(self.url, key, etag) from error

    @contextmanager
    def _errors_translated(self, key: str) -> Iterator[None]:
        """Raises our errors for those of obstore."""
        try:
            yield
        except (BaseError, OSError, ValueError) as error:
            if _error_code(error) == "NoSuchKey":
                raise not_found_error(self.url, key) from error
            detail = f"{self.url!r} failed at {key!r}: {_short_reason(error)}"
            if _UNLISTABLE in str(error):
                detail = (
                    f"{self.url!r} holds a key that no store takes: {_short_reason(error)}; move it out of the bucket"
                )
            if re.search(_DENIED, str(error)):
                detail = (
                    f"{self.url!r} denies access to {key!r}: {_short_reason(error)} (without the right to list the "
                    "bucket a missing object is denied as well)"
                )
            raise StoreUnavailableError(detail, store=self.url, key=key) from error


def _error_code(error: Exception) -> str:
    """S3's own code of the error; empty if it was not S3 that answered."""
    failure = re.search(_FAILURE, str(error))
    return failure[1] if failure else ""


def _short_reason(error: Exception) -> str:
    """What went wrong in a few words; obstore's own go on for pages."""
    text = str(error)
    if failure := re.search(_FAILURE, text):
        return f"{failure[1]}, {failure[2].rstrip('.')}"
    for sign, reason in _CAUSES.items():
        if sign in text:
            return reason
    first = text.partition("\n")[0]
    return first.rpartition(" - ")[2][:300]


def _blob(result: GetResult) -> Blob:
    head = _head(result)
    return Blob(bytes(result.bytes()), head.etag, head.version)


def _head(result: GetResult) -> Head:
    # "null" is what S3 calls all that was written while the bucket kept no versions
    version = result.meta["version"]
    return Head(result.meta["size"], _unquote(result.meta["e_tag"]), None if version == "null" else version)


@contextmanager
def _opened(data: bytes | Path) -> Iterator[bytes | mmap]:
    """What to send: bytes, or a large file's pages."""
    if not isinstance(data, os.PathLike):
        yield data
        return
    import mmap

    try:
        file = data.open("rb")
    except OSError as error:
        raise unreadable_error(data, error) from error
    with file:
        if os.fstat(file.fileno()).st_size < MAPPED_FROM:
            yield file.read()
            return
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as pages:
            yield pages


def _pause(longest: float) -> None:
    """Wait a random while, so that those who collided do not meet again."""
    import random
    import time

    time.sleep(random.uniform(0, longest))  # noqa: S311 # jitter, not a secret


def _unquote(etag: str | None) -> str:
    """S3's ETag without the quotes that HTTP puts around it."""
    if not etag:
        raise ValueError("the answer has no ETag, so it is not S3 that answers")
    return etag.strip('"')


def _quote(etag: str) -> str:
    return f'"{etag}"'
