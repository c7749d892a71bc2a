"""MLflow model directories: an MLmodel file, and the model in a flavour of its framework.

model      the directory as a TrainedModel: the model in it, with the names that the signature gives its columns
mlmodel    what the MLmodel file says: flavours, signature, input example
"""
