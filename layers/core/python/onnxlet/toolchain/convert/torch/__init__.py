"""PyTorch: exported programs, and modules with weights."""
