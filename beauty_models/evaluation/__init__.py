"""How good a model is, how sure that is, and the pages that show it."""
