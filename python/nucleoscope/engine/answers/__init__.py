"""A model's own answers: what of them is asked about, what they depend on, whether they are steady."""
