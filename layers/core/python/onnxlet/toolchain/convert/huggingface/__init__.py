"""Hugging Face: encoders of texts and models of images, in directories of transformers and sentence-transformers."""
