"""What users call: one method, one file, with what the methods of a room share beside them.

- `edits`: mutagenesis, variants, ablations, motifs put in, pairs
- `gradients`: saliency, paths from baselines, DeepLIFT
- `attention`: maps, rollout, relevance
- `tracks`: what stands beside the sequence, edited or differentiated; stretches of both taken out
- `seqlets`: stretches that stand out of scores

Of the files here two are methods (`distal_scores` uses gradients and edits, `dinucleotide_shuffle` neither); the
others are what several rooms use: how an ensemble is asked, settings of torch, how raw scores become attributions.
"""
