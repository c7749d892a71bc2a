"""Batch: files of rows in, files of predictions out.

formats   which file names can be scored, and as what
cells     one column of text or JSON values → one tensor, bad cells reported by position
csvfile, jsonlines   the two formats: read rows in chunks, bind them to a model's inputs, write them with its outputs
rows      chunks through a model; bad rows set aside
scoring   one file, local or in a store: outputs, errors and the batch manifest, written last
events    S3 events from EventBridge, SQS or S3 itself → files to score
"""
