"""Benchmarks: models and baselines, measured on image sets."""
