"""The error for trees that no tables are made of. It becomes a note: the version is explained by other methods."""


class UnreadableTreesError(Exception):
    """Why not."""
