"""Methods on what a model reads beside its sequence."""
