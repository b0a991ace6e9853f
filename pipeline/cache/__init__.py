"""The teacher cache on disk: `cache/README.md` is its specification. Stage two reads it without open_clip."""
