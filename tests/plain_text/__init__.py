"""A wire protocol that onnxlet does not have, as somebody else would add it: numbers in lines of text."""
