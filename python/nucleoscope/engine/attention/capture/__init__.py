"""Attention layers of an unmodified model: queries, keys, values, and what makes logits of them."""
