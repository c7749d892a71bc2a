"""Hugging Face: encoders in directories of transformers and sentence-transformers."""
