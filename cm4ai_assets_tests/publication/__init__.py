"""Tests of what a release says of itself to others."""
