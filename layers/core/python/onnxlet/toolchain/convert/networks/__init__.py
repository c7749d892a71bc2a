"""Models of tensors: what the neural networks of every framework, and ONNX files, have in common."""
