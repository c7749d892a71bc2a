"""Misspelt names: which of those that exist was meant."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice

LIKENESS = 0.7
"""How alike two names are at least, as difflib measures it: from 0 to 1."""
MOST = 200
"""At most so many names are compared with each other."""
LONGEST = 200
"""Longer names are not compared, which would take long: they are no slips of the pen."""


def find_similar(name: str, known: Iterable[str]) -> str | None:
    """The one of the `known` names that is most like `name`; None if none is. Case, spaces and dashes do not count."""
    import difflib  # by whoever misspells

    spelled = {_fold(each): each for each in known if len(each) <= LONGEST}
    if len(name) > LONGEST:
        return None
    close = difflib.get_close_matches(_fold(name), spelled, n=1, cutoff=LIKENESS)
    return spelled[close[0]] if close else None


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """`; did you mean 'diagnosis'?` for the end of a message; empty if nothing is alike."""
    similar = find_similar(name, known)
    return f"; did you mean {similar!r}?" if similar is not None else ""


def did_you_mean_each(names: Iterable[str], known: Iterable[str]) -> str:
    """`; did you mean 'age' by 'Age'?` for names that are missing among those that are there."""
    given = list(islice(known, MOST))
    pairs = [(name, similar) for name in islice(names, MOST) if (similar := find_similar(name, given)) is not None]
    if not pairs:
        return ""
    return "; did you mean " + ", ".join(f"{name!r} by {similar!r}" for name, similar in pairs) + "?"


def _fold(name: str) -> str:
    return name.casefold().replace(" ", "_").replace("-", "_")
