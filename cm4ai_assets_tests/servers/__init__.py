"""Real servers that tests start themselves, on loopback, with their data in a temporary folder."""
