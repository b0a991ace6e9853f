"""A trial: one training run of one method on one held-out domain with one seed, as an object and as files."""
