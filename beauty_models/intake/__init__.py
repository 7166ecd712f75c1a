"""From raw files to clean tables: reading, cleaning, splits, what is rejected, stored pictures."""
