"""The meaning of each method: plain PyTorch, slow, obviously right."""
