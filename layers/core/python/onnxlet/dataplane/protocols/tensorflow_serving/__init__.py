"""TensorFlow Serving's REST API, version 1: `protocol` has the paths, `body` what is asked and answered."""
