"""The fault run: everything at once over an S3 that fails, while processes are killed; then everything is counted.

    make fault-run SECONDS=600 SEED=7

proxy    S3 behind a network that fails: errors, resets, lost answers, delays, cut and changed bodies, doubled requests
workers  what the processes do over and over: publish, promote, roll back, delete, clear up, upload, score
run      starts, kills and restarts them, and asks a server meanwhile
judge    what must be true in the end, read by boto3, onnx and csv, not by this package
"""
