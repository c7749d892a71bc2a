"""Wire formats, one module each: how a request becomes tensors, and tensors or an error become an answer."""
