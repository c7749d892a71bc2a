"""Serving: a ref in, a loaded model out. What a version is, where it lies and when to load it ends here.

predictor        which version answers for a ref, and what stands in for it when it cannot
ttl_cache        what is known of the store: read once, kept for a while, and longer while the store is down
routing          which of an alias's routes a request takes
loader           versions in memory, once each, and no more of them than memory allows
artifact_cache   a version's files on the local disk, each held to its digest
golden           cases that a version must still answer as it did when it was published
engine           ONNX Runtime sessions; watchdog stops what runs too long
model            a loaded graph with the steps that its manifest declares around it
"""
