"""What each op and each method means, in plain PyTorch: slow, right, importing only torch."""
