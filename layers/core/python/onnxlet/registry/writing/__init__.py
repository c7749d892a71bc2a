"""Writing the registry: every change, made conditionally.

writer      who writes to a store, and when: what all of these take first
publishing  a draft and its files become a version: claim, artifacts, manifest
moving      an alias moves: promote, roll back, retire; one commit point
gates       what a version must pass before it is promoted
removal     deleting versions, and clearing up after publishes that were never finished
"""
