"""Image sets: known sets, folders, and pairs of clean and degraded images."""
