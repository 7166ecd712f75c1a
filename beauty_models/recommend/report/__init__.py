"""What evaluation compares the model with, and the pages that people read.

Only the evaluate stage depends on it.
"""
