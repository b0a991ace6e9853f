"""Benchmarks: each prints its setting and what it measured. Nothing here is a test."""
