"""Stage one: images and prompts → teacher cache. Here teacher and cache meet, which know nothing of each other."""
