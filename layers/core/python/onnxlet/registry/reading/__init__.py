"""Reading the registry: what there is, what a ref means, what happened to an alias.

lookup        single documents: a manifest by number or ref, an alias by name
servable      which versions answer over HTTP
listing       all models, all versions of a model, all its aliases
history       the moves of an alias, and the proof that none was changed, added or left out
requirements  what the store asks of every version that is promoted

The data plane imports `lookup` and `servable`, so those two load nothing that a cold start does not need.
"""
