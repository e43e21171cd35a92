"""Publication as assets: the documents that describe a release as it is delivered here."""
