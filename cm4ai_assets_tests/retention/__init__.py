"""Retention: what stays, what could go, and taking it away."""
