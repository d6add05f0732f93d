"""The edit engine: trace -> plan -> run -> verify. An edit is a ripple; only the ripple is computed.

Each line uses those above it alone:

- the files here: windows, rows, steps and chains, of which a graph is made; threads, memory, devices, shuffles
- `rules`: how a change passes each op
- `values`: layers as they are, whole or at some of their positions
- `answers`: what a model returns, what of it is asked about, and whether it can be relied on
- `tracing`: a module becomes a graph
- `planning`: a graph and a request become windows, batches and their cost
- `prepare.py`: what the user asked becomes what can be planned and run
- `edits`: a plan becomes the changes of every target, held against the model
- `pairs`, `indels`: edits that meet; edits that move what follows them
- `gradients`: a model differentiated, along paths and by DeepLIFT's rules
- `attention`: attention layers taken apart, and rows of tokens handed through them
"""
