"""Jobs: a job is one scoring of a file.

orders         what is to be scored by whom into what
jobs           those that were asked for: made, listed, followed, cancelled, repeated
estimates      what a large file would take: sections, time, cost
state_machine  Step Functions, which large files are handed to
"""
