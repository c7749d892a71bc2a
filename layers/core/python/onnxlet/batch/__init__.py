"""Batch: files of rows in, files of predictions out.

formats        a table of file formats, one file per format, and what formats share
inputs         what a model wants of a row
rows           chunks of rows through a model; bad rows set aside
sources        where files come from: this machine, a store
destinations   where outputs go: this machine, a store
book           the JSON that closes a scored file
scoring        one file, from source to destination: outputs, errors and the book, written last
events         S3 events from EventBridge, SQS or S3 itself → files to score
"""
