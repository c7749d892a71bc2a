"""The workbench: what the tools share.

directory        converted directories: graph, draft, golden cases and assets, written whole or not at all
table, arrays    columns of a CSV file, tensors of a .npz file; data opens what callers hold in their place
baseline         what the rows look like, in counts, for monitoring
truth            the values of the columns that a model predicts
evaluation_data  the rows of a file as a graph's inputs, with the truth about them
evaluation       a graph's answers to rows, and their metrics
splitting        rows cut into parts that are alike; judging_rows: which rows of the data chose no graph
reference        what the model itself answered to these rows when it was converted
task, metrics    what a model's answers are, and how good they are
slices           groups of rows that are measured by themselves
probing_rows     rows made of what a model knows, to compare its graph with it; agreement: of answers, row by row
comparison       how far two graphs' answers are apart
stable_cases     inputs whose answers hold on other machines
random_inputs    inputs for graphs of which nothing more is known
inspection       looking into an ONNX file: domains, types, external weights
shapes           the shapes that outputs really have
offline          ONNX Runtime's optimization, done once and written down
extras           optional packages, and what to install where one is missing
error_text       what another library's error says, in one line
privacy          messages without values of the data; refusals, which say what a framework does not take
progress         what a tool tells its caller while it works
tensorflow       TensorFlow, loaded without its messages
"""
