"""Immunofluorescence images: names, manifests, fields of view, pixels, quality. Plain Python, no Dagster."""
