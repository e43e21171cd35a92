"""Where what is delivered comes from, and what was made of what is published. From the storage alone."""
