"""The toolchain: what a laptop or CI does to a trained model before it is served.

workbench   what the tools share: converted directories, tables, arrays, evaluation data, metrics, comparison
verify      judges a graph by its framework's own answers
convert     trained models to ONNX, a folder for each framework
optimize    smaller graphs that keep the contract
prepare     what a version needs before it is published
export      versions to other servers' formats
fit         whether a version runs on Lambda, how fast, for how much
"""
