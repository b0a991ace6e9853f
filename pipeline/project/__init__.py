"""A user's own project: what its images are, the files that make an experiment of them, whether this machine can run it."""
