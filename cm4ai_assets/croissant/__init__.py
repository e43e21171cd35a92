"""Croissant 1.1: its words, record sets over Parquet files, and reading them back as whoever loads them does."""
