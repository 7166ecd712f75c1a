"""A saved model answers: rows of a file or a folder, and data frames that others send."""
