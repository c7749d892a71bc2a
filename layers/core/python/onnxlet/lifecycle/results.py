"""What the functions return: values with what was done in them, which terminals and notebooks show."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar, overload

from onnxlet.errors import MissingExtraError
from onnxlet.lifecycle.summaries import (
    describe_contract,
    describe_conversion,
    describe_history,
    describe_outcome,
    describe_rungs,
    describe_version,
    format_move,
    format_unchanged,
    format_verdict,
    gate_warning,
)
from onnxlet.values.tables import Block, Facts, Table

if TYPE_CHECKING:
    import pandas as pd

    from onnxlet.toolchain.fit.report import Report
    from onnxlet.toolchain.workbench.comparison import Comparison
    from onnxlet.values.aliases import Alias
    from onnxlet.values.contract import Contract
    from onnxlet.values.manifest import Draft, Manifest

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


class Shown:
    """Something that notebooks show by its blocks."""

    def _blocks(self) -> Sequence[Block]:
        raise NotImplementedError

    def _repr_html_(self) -> str:
        return "".join(block.html() for block in self._blocks())


class ConvertedModel(Shown):
    """A directory with a converted model, usable as its path, and the `draft` of the version that it will be."""

    def __init__(self, directory: Path, draft: Draft) -> None:
        self.directory = directory
        self.draft = draft

    def __fspath__(self) -> str:
        return str(self.directory)

    def __repr__(self) -> str:
        return f"<converted {self.draft.provenance.framework} model in {str(self.directory)!r}>"

    def _blocks(self) -> Sequence[Block]:
        return [describe_rungs(self.draft), *describe_conversion(self.draft)]


class Verdict(Shown):
    """What a converted model was judged to be: its `contract`, and the page `report` beside it."""

    def __init__(self, directory: Path, contract: Contract) -> None:
        self.directory = directory
        self.contract = contract

    @property
    def holds(self) -> bool:
        """Whether the accuracy contract holds."""
        return self.contract.holds

    @property
    def report(self) -> Path:
        """The page with all figures."""
        return self.directory / "report.html"

    def __repr__(self) -> str:
        return f"<the contract {format_verdict(self.contract)}; see {str(self.report)!r}>"

    def _blocks(self) -> Sequence[Block]:
        return describe_contract(self.contract)


class Version(Shown):
    """A published version: its `manifest`, and the manifest's `digest`."""

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

    @property
    def notes(self) -> tuple[str, ...]:
        """What to mind of it: that it has no golden cases, say."""
        return self.manifest.notes

    @property
    def contract(self) -> Contract | None:
        """The accuracy contract that it was judged by, if it was."""
        return self.manifest.contract

    def __str__(self) -> str:
        return f"{self.model}:{self.version}"

    def __repr__(self) -> str:
        return f"<{self}: {f'the contract {format_verdict(self.contract)}' if self.contract else 'no contract'}>"

    def _blocks(self) -> Sequence[Block]:
        return describe_version(self.manifest, self.digest)


class Shipped(Version):
    """A version that was shipped: `move` is the alias that routes to it now, if it was promoted.

    `fit` says whether it runs on Lambda, how fast and for how much; None if that was not measured, `fit_failed` why.
    """

    def __init__(self, version: Version, move: Move | None, fit: Report | None, fit_failed: str | None) -> None:
        super().__init__(version.manifest, version.digest)
        self.move = move
        self.fit = fit
        self.fit_failed = fit_failed

    def __repr__(self) -> str:
        promoted = f", promoted to {self.move.alias.entry.alias!r}" if self.move else ""
        return f"{super().__repr__()[:-1]}{promoted}>"

    def _blocks(self) -> Sequence[Block]:
        from onnxlet.toolchain.fit.report import summary

        on_lambda = summary(self.fit) if self.fit is not None else f"not measured: {self.fit_failed}"
        facts = Facts(
            (("version", str(self)), ("promoted", repr(self.move) if self.move else ""), ("on Lambda", on_lambda))
        )
        return [facts, *describe_outcome(self.manifest, self.contract)]


class Move(Shown):
    """A move of an alias, which is its newest entry: `alias`. `warning` says what the gates did not vouch for.


    `changed` is False where the alias routed there already: nothing was written then, and the entry is an older one.
    """

    def __init__(self, alias: Alias, *, changed: bool = True) -> None:
        self.alias = alias
        self.changed = changed

    @property
    def warning(self) -> str:
        """What the gates did not vouch for; empty if they held, or nothing changed."""
        return gate_warning(self.alias) if self.changed else ""

    def __str__(self) -> str:
        return format_move(self.alias) if self.changed else format_unchanged(self.alias)

    def __repr__(self) -> str:
        return str(self) + (f" (warning: {self.warning})" if self.warning else "")

    def _blocks(self) -> Sequence[Block]:
        return [describe_history([self.alias.entry]), Facts((("warning", self.warning),))]


class Exported(Shown):
    """A version for another server: where it lies, and how far its answers are from the version's."""

    def __init__(self, directory: Path, comparison: Comparison) -> None:
        self.directory = directory
        self.comparison = comparison

    def __fspath__(self) -> str:
        return str(self.directory)

    def __repr__(self) -> str:
        return f"<exported to {str(self.directory)!r}: {self.comparison}>"

    def _blocks(self) -> Sequence[Block]:
        return [Facts((("directory", str(self.directory)), ("compared", str(self.comparison))))]


def make_frame(table: Table) -> Any:
    """A table as a pandas DataFrame. Raises MissingExtraError without pandas."""
    try:
        import pandas as pd
    except ImportError as error:
        raise MissingExtraError("data frames need pandas: pip install pandas") from error
    return pd.DataFrame([list(row) for row in table.rows], columns=list(table.head))
