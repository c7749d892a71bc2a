"""Capture: rows that were answered, kept as far as the policy in their version's manifest releases them.

rules       what a policy can do with a column: drop, count, hash, bucket, round, keep
policy      the policy of a version: a rule by column and output, sampling, caps, retention
publishing  what publishing asks of a policy, and what it does to a baseline
withholding what keeps dropped columns out of every buffer
wording     a policy in words
data_key    the key that hashes are made with, and where it lies; aws_call asks AWS for it
rows        captured rows, as policy and rules make them of observations
watcher     writes them below `capture/`, after the answers
reading     finds and reads them again
labels      what turned out to be true of them, joined by request id
erasing     removes the rows and labels of requests, and records that
retention   removes what policies keep no longer
accuracy    how often a version was right, by rows that have labels
"""
