"""Sets of images: the known ones, folders, and pairs of clean and degraded images."""
