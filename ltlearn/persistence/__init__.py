"""Values in files that run no code, and hashes by content."""
