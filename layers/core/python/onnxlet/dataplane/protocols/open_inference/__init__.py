"""The Open Inference Protocol, version 2: `protocol` has the paths, `body` what is asked and answered."""
