"""Writing to the registry: publish, promote, roll back, delete, and what is asked of a version first."""
