"""How good the writer is: baselines, originality, and the page."""
