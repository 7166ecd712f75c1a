"""Finding the nearest: features of pictures and the index of vectors."""
