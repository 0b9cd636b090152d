"""Finding duplicates among many rows: keys of texts, MinHash pairs, and the families that they make."""
