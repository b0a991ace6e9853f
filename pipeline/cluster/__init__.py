"""Stage one and the trials of stage two on several machines or GPUs, by Ray."""
