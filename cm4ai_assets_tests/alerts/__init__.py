"""Messages to people: what is sent when, and what a receiver may do."""
