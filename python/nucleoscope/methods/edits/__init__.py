"""Methods that edit the sequence, and what they share.

Methods: `saturation_mutagenesis`, `substitution_effect`, `variant_effect`, `profile_effect`, `ablate`,
`marginalize`, `space`, `pairwise`. A call is checked and asked in several views (`several`, `one_by_one`,
`editing`), letters and variants are read (`letters`, `variants`), and what the edits do is settled (`settled`: by
deltas that the model is held to, or by its plain loop).
"""
