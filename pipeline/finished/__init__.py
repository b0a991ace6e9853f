"""A finished student at work: loaded from a trial's folder, and asked."""
