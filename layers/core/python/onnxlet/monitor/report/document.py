"""The report of a model: what its sections tell, as one document, as tables, and as a page."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

import msgspec

from onnxlet.errors import IntegrityError
from onnxlet.monitor.report.page import write_page
from onnxlet.monitor.report.scope import Scope
from onnxlet.monitor.report.section import Finding, Section, join_findings
from onnxlet.monitor.report.sections import SECTIONS
from onnxlet.monitor.report.traffic import SECTION as TRAFFIC
from onnxlet.monitor.report.traffic import Traffic
from onnxlet.values.canonical import canonical
from onnxlet.values.tables import Block
from onnxlet.values.timestamps import format_timestamp

SCHEMA = 1


class Report(msgspec.Struct, frozen=True):
    """What became of the rows of a model's `versions`, from `since` to `until` (`2026-11-01`; empty: no bound).

    `written` is RFC 3339. `sections` has what each section of the table tells, by its name; a section that has nothing
    to tell is left out. A notebook shows it as tables and plots.
    """

    model: str
    versions: tuple[int, ...]
    since: str
    until: str
    written: str
    sections: dict[str, msgspec.Struct]
    schema: int = SCHEMA

    def encode(self) -> bytes:
        """Canonical JSON."""
        return canonical(self)

    @property
    def findings(self) -> list[Finding]:
        """What is wrong on the newest day of each version that is served; of very many alike, one stands for all."""
        found = (finding for section, told in self._told() for finding in section.find(told))
        return join_findings(finding for finding in found if finding.version in self._served())

    def with_section(self, name: str, told: msgspec.Struct | None) -> Report:
        """The report with another section of this name, or none."""
        sections = {each: self.sections[each] for each in self.sections if each != name}
        return msgspec.structs.replace(self, sections=sections if told is None else {**sections, name: told})

    def measures(self) -> dict[int, dict[str, float]]:
        """Values of metrics by the versions that are served, and by the names of the metrics."""
        values: dict[int, dict[str, float]] = {version: {} for version in self._served()}
        for section, told in self._told():
            for version, metric, value in section.measure(told):
                if version in values:
                    values[version][metric] = float(value)
        return values

    def parts(self) -> list[tuple[str, list[Block]]]:
        """The title of each section, and its tables and plots."""
        return [(section.title, section.show(told)) for section, told in self._told()]

    def page(self) -> str:
        """HTML in one file, which loads nothing and runs nothing."""
        days = f"from {self.since or 'the first day'} to {self.until or 'the newest'}"
        return write_page(f"{self.model} in production", f"{days}; written {self.written}", self.parts())

    def __repr__(self) -> str:
        return f"<onnxlet report of {self.model}: {len(self.versions)} versions, {len(self.findings)} findings>"

    def _repr_html_(self) -> str:
        return "".join(f"<h4>{title}</h4>{''.join(block.html() for block in blocks)}" for title, blocks in self.parts())

    def _served(self) -> set[int]:
        traffic = self.sections.get(TRAFFIC.name)
        gone = {each.version for each in traffic.versions if not each.served} if isinstance(traffic, Traffic) else set()
        return set(self.versions) - gone

    def _told(self) -> Iterator[tuple[Section[msgspec.Struct], msgspec.Struct]]:
        for name, section in SECTIONS.items():
            if name in self.sections:
                yield section, self.sections[name]


class _Stored(msgspec.Struct):
    """A report whose sections nobody has read yet."""

    model: str
    versions: tuple[int, ...]
    since: str
    until: str
    written: str
    sections: dict[str, msgspec.Raw]
    schema: int = SCHEMA


def read_report(scope: Scope, *, written: datetime) -> Report:
    """What the sections tell of a scope. Raises IntegrityError."""
    told = {name: told for name, section in SECTIONS.items() if (told := section.read(scope)) is not None}
    return Report(scope.model, scope.versions, scope.since, scope.until, format_timestamp(written), told)


def decode_report(document: bytes) -> Report:
    """The report that was written; sections that this onnxlet does not know are left out.

    Raises IntegrityError if it is none, or a newer onnxlet's.
    """
    try:
        stored = msgspec.json.decode(document, type=_Stored)
        if stored.schema != SCHEMA:
            raise IntegrityError(f"the report has schema {stored.schema}, this onnxlet reads {SCHEMA}: upgrade onnxlet")
        told = {
            name: msgspec.json.decode(stored.sections[name], type=section.document)
            for name, section in SECTIONS.items()
            if name in stored.sections
        }
    except (msgspec.DecodeError, msgspec.ValidationError) as error:
        raise IntegrityError(f"this is no report: {error}") from error
    return Report(stored.model, stored.versions, stored.since, stored.until, stored.written, told)
