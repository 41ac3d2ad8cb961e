"""Results as values, and what writes them as files."""
