"""Holding a registry to its promises: every key has its place, every document says what others say of it.

findings  what can be wrong, and what mends it
survey    one listing of a store, sorted by what the keys belong to
versions  a version: its documents, and every artifact by size and digest
aliases   an alias: its document, its chain of entries, where it routes to
examine   the pieces at once, and a second look at each that has a finding
"""
