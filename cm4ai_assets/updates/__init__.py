"""What changes upstream, and what follows from it: watching, comparing, and what is still to be made."""
