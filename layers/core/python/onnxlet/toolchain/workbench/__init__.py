"""The workbench: what the tools share.

directory        converted directories: graph, draft, golden cases, all or nothing
table, arrays    rows of a CSV file, tensors of a .npz file
evaluation_data  the rows of a file as a converted model's inputs, and the truth about them
evaluation       a graph's answers to rows, and what clients see of them
reference        what the model itself answered to these rows
task, metrics    what a model's answers are, and how good they are
slices           groups of rows that are looked at by themselves
comparison       how far two graphs' answers are apart
synthesis        rows made from statistics, so that nobody's data travels; golden cases; random inputs
inspection, shapes, offline, graphs   ONNX files: looked into, observed, optimized, edited
extras           optional packages, and a sentence that says what to install
tensorflow       how TensorFlow is loaded, asked and understood
"""
