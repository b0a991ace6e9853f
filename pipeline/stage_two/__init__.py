"""Stage two: cache, pictures and settings → trained students. Here trials meet the data; no teacher is loaded."""
