"""AI-readiness of a release, graded by evidence: the release as published, and as this platform delivers it."""
