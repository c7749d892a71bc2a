"""What the functions return: values with what was done in them, which terminals and notebooks show."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Generic, TypeVar, overload

from onnxlet.errors import MissingExtraError

if TYPE_CHECKING:
    import pandas as pd

    from onnxlet.lifecycle.tables import Table
    from onnxlet.values.manifest import Manifest

Item = TypeVar("Item")


class Listing(Sequence[Item], Generic[Item]):
    """What a store holds of one kind: a sequence, shown as a table."""

    def __init__(self, items: Sequence[Item], describe: Callable[[Sequence[Item]], Table]) -> None:
        self._items = tuple(items)
        self._table = describe(self._items)

    @overload
    def __getitem__(self, index: int) -> Item: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Item]: ...
    def __getitem__(self, index: int | slice) -> Item | Sequence[Item]:
        return self._items[index]

    def __len__(self) -> int:
        return len(self._items)

    def __iter__(self) -> Iterator[Item]:
        return iter(self._items)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and self._items == tuple(other)

    def __hash__(self) -> int:
        return hash(self._items)

    def __repr__(self) -> str:
        return self._table.text() or "(none)"

    def _repr_html_(self) -> str:
        return self._table.html() or "<p>(none)</p>"

    def to_frame(self) -> pd.DataFrame:
        """The table as a pandas DataFrame. Raises MissingExtraError without pandas."""
        return make_frame(self._table)


class Version:
    """A published version: `model`, `version`, its `manifest` and the manifest's `digest`."""

    def __init__(self, manifest: Manifest, digest: str) -> None:
        self.manifest = manifest
        self.digest = digest

    @property
    def model(self) -> str:
        """The model's name."""
        return self.manifest.model

    @property
    def version(self) -> int:
        """The version's number."""
        return self.manifest.version

    def __str__(self) -> str:
        return f"{self.model}:{self.version}"

    def __repr__(self) -> str:
        from onnxlet.lifecycle.summaries import format_verdict

        contract = self.manifest.contract
        return f"<{self}: {f'the contract {format_verdict(contract)}' if contract else 'no contract'}>"

    def _repr_html_(self) -> str:
        from onnxlet.lifecycle.summaries import describe_version

        return "".join(block.html() for block in describe_version(self.manifest, self.digest))


def make_frame(table: Table) -> Any:
    """A table as a pandas DataFrame. Raises MissingExtraError without pandas."""
    try:
        import pandas as pd
    except ImportError as error:
        raise MissingExtraError("data frames need pandas: pip install pandas") from error
    return pd.DataFrame([list(row) for row in table.rows], columns=list(table.head))
