"""What an alias may roll back to: a stack of routes, newest first, that each of its moves changes in a fixed way.

It is a function of the moves alone, so that `history` can compute it again and hold an alias to it.
"""

from __future__ import annotations

from onnxlet.values.aliases import PREVIOUS_KEPT, HistoryEntry, Routes

Stack = tuple[Routes, ...]


def next_stack(stack: Stack, entry: HistoryEntry) -> Stack | None:
    """The stack once `entry` was made on top of `stack`; None if that move cannot be made from there.

    promote    pushes the routes that it leaves, unless it goes where the alias already is
    rollback   pops down to its target and forgets the routes that it leaves, so that nothing leads back to them
    retire     empties it
    """
    if entry.action == "promote":
        moved = entry.origin and entry.origin != entry.target
        return (entry.origin, *stack)[:PREVIOUS_KEPT] if moved else stack
    if entry.action == "rollback":
        if entry.target not in stack or entry.target == entry.origin:
            return None
        below = stack[stack.index(entry.target) + 1 :]
        return tuple(routes for routes in below if routes != entry.origin)
    return None if entry.target else ()
