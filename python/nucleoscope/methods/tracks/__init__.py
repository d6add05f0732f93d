"""Methods on what a model reads beside its sequence, and on stretches of both taken out."""
