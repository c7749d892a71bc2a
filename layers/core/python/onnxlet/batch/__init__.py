"""Batch: files of rows in, files of predictions out.

formats        a table of file formats, one file per format, and what formats share
inputs         what a model wants of a row
explained      attributions of rows beside their answers
folding        what the rows of a file come to, by the same steps
importance     how far each column moves answers on average
dependence     the mean answer where all rows have one value in a column
observed       what a model is given and gives, appended to the telemetry
pictures       rows that name pictures, and folders of them
rows           chunks of rows through a model; bad rows set aside
arrow_scoring  rows of Arrow's batches, where engines of data frames have them
planning       where a large file may be cut, found by scanning its stretches apart
parts          ranges of a file scored, each in two steps
workers        ranges scored on all cores
assembling     parts put together into one file
journal        which parts are in their places, for a job that is killed
reading        an object of a store read in windows, the next of which are on their way
sources        where files come from: this machine, a store
book           the JSON that closes a scored file
scoring        one file's rows by one version, into files of a folder
scratch        such folders, and what killed processes leave of them
local_files    a local file scored into another
claims         who scores a source, pinned by its first delivery
results        output, errors and book in a store: one set of one source, whatever is delivered how often
objects        a file of a store, from look to look
large          files that many invocations score in sections, as a state machine says
answering      what an event asks for: files that landed, or a step of the state machine
events         S3 events from EventBridge, SQS or S3 itself → files to score
"""
