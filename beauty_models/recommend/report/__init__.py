"""What evaluation compares the model with, and the pages that people read; only the evaluate stage depends on it."""
