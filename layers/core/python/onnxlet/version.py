"""The version of this package, by the rules of semantic versioning."""

__version__ = "0.1.0"
