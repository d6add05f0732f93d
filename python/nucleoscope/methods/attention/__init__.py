"""Methods that read attention, and what they share.

Methods: `attention_maps`, `attention_rollout`, `attention_relevance`, and `far_regions`, which puts the last two
in few numbers. `attending` takes the model apart, `token_rows` says which bases a token is of.
"""
