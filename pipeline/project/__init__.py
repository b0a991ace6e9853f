"""A user's own project: what a folder of images holds, the files that make an experiment of it, and whether this machine can run it."""
