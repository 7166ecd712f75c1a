"""From raw files to clean tables: reading, cleaning, pictures, splits, what is rejected, and how pictures are stored."""
