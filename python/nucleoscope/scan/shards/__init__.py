"""Work that survives: a folder of shards, who is at which, and where they run, whatever a shard is of."""
