"""A model differentiated by its inputs: at points, along paths with an error bar, and by DeepLIFT's rules."""
