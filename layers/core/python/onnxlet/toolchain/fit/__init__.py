"""Fit: will a version run on AWS Lambda, how fast, and what will it cost.

probe        a fresh process that loads and runs a version, and tells what that took
busyness     who else used the processors meanwhile
measuring    probes at 1 and 2 threads, brought together
sizing       arithmetic: packages, memory, times by memory size
costing      arithmetic: money, by a price list
fitting      one report of all that; `fit` and `summary`

What was measured, computed and assumed is kept apart, from the probe to the printed page. Nothing is imported here, as
a probe measures imports from an empty process on.
"""
