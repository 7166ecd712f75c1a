"""Faces that this project draws: who they are, their shape, and their portraits."""
