"""How the embedded data set and its teacher were made; only `stages` calls it."""
