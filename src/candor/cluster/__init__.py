"""A stage's shards, worked on in this process or by workers on a Ray cluster, to the same files."""
