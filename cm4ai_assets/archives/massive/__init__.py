"""MassIVE: a client of its services, what a deposit holds, and its files on request."""
