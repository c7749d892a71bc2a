"""The floor of a cold start: import numpy and onnxruntime, open the file, run once."""

import os
import sys

os.environ["ORT_DISABLE_TELEMETRY"] = "1"

import numpy as np
import onnxruntime as ort

options = ort.SessionOptions()
options.intra_op_num_threads = 1
options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
session = ort.InferenceSession(sys.argv[1], options, providers=["CPUExecutionProvider"])
tensor = session.get_inputs()[0]
width = tensor.shape[1] if isinstance(tensor.shape[1], int) else 16
dtype = np.int64 if tensor.type == "tensor(int64)" else np.float32
session.run(None, {tensor.name: np.ones((1, width), dtype)})
