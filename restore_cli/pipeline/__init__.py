"""Restores batches of files, and single pictures in memory."""
