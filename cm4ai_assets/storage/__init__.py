"""Where things are kept, and how they are written so that nothing half-written is ever seen."""
