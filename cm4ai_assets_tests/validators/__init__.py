"""Validators of others that judge what is published here, each installed once and apart from what is tested."""
