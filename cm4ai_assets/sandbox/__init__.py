"""The embedded archive: a synthetic release history in the published shapes, and the server that offers it."""
