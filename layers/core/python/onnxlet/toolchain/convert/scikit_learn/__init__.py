"""scikit-learn estimators and pipelines, exported by skl2onnx with patches of what it converts wrongly."""
