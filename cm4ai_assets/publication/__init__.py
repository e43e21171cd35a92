"""A release that describes itself: Croissant, RO-Crate, datasheet, report, AI-readiness, and the folder to deposit."""
