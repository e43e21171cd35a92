"""Tests of the embedded archive: that it is deterministic, and faithful to what was published."""
