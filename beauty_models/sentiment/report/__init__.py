"""What sentiment's evaluation compares with, and the pages that people read.

Only the evaluate stage depends on it.
"""
