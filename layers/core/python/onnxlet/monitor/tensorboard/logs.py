"""Logs: event files in a directory or a bucket, run by run. Files are written once and never changed.

S3 cannot append, so each writing adds a file. It begins where the run differs from what was written before: with a new
day, or with an old one of which more is known now, late labels say. What is written is noted beside the files; who was
killed before the note writes the same steps again, which take the place of the first ones.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from onnxlet.errors import IntegrityError, ObjectNotFoundError, PreconditionFailedError
from onnxlet.monitor.tensorboard.records import Step, event_file
from onnxlet.store import Store
from onnxlet.values.digests import digest

_NOTE = "written.json"
_FILE = "events.out.tfevents."
_SUFFIX = ".onnxlet"
_ATTEMPTS = 100


class _Note(msgspec.Struct, frozen=True):
    steps: dict[int, str] = {}


class Logs:
    """The runs below one log directory, which is a store."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def write(self, run: str, steps: Sequence[Step]) -> int:
        """Write what is new of a run, of which `steps` are all; return how many steps that were.

        Raises MissingExtraError, IntegrityError for a note that is none, and as the store does.
        """
        steps = sorted(steps)
        digests = {step.step: digest(b"".join(step.values)) for step in steps}
        known = self._read_note(run).steps
        unlike = [step for step in {*digests, *known} if digests.get(step) != known.get(step)]
        if not unlike:
            return 0
        fresh = [step for step in steps if step.step >= min(unlike)] or [Step(min(unlike), 0.0, ())]
        self._add_file(run, event_file(fresh))
        self._store.put(f"{run}/{_NOTE}", msgspec.json.encode(_Note(digests)))
        return len(fresh)

    def _read_note(self, run: str) -> _Note:
        key = f"{run}/{_NOTE}"
        try:
            return msgspec.json.decode(self._store.get(key).data, type=_Note)
        except ObjectNotFoundError:
            return _Note()
        except (msgspec.DecodeError, msgspec.ValidationError) as error:
            raise IntegrityError(f"{key!r} does not say what was written: remove it ({error})", key=key) from error

    def _add_file(self, run: str, data: bytes) -> None:
        prefix = f"{run}/{_FILE}"
        numbers = [entry.key.removeprefix(prefix).removesuffix(_SUFFIX) for entry in self._store.list(prefix)]
        last = max((int(number) for number in numbers if number.isdecimal()), default=0)
        for number in range(last + 1, last + _ATTEMPTS):
            try:
                self._store.create(f"{prefix}{number:010d}{_SUFFIX}", data)
            except PreconditionFailedError:
                continue  # another writes there too
            return
        raise PreconditionFailedError(f"others keep writing to {prefix!r}: try again", key=prefix)
