"""TensorBoard: what a store knows of its models, as event files that TensorBoard opens. No TensorFlow, no numpy.

protobuf      the wire format of the fields that events have
summaries     what TensorBoard shows: scalars, histograms, texts, images, hyperparameters
records       events, framed as event files frame them
history       what a store holds of one model: versions, moves, days
table         what is written of it: the one list of tags
by_version    tags whose steps are versions; by_day: tags whose steps are days
measures      which numbers of the report are scalars; plots: its plots as pictures
logs          a directory or a bucket of event files, which are only ever added to
"""
