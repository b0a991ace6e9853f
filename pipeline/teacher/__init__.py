"""The teacher: a frozen CLIP of open_clip that turns pictures and prompts into embeddings. Knows no cache."""
