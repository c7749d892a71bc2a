"""Jobs: a job is one scoring of a file.

orders         what is to be scored by whom into what
state_machine  Step Functions, which large files are handed to
"""
