"""A graph, a request and a budget -> windows, cones, batches, and what they cost, before anything is computed."""
