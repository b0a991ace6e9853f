"""How the embedded benchmark and its teacher were made; only `stages` calls it."""
