"""A release in the forms that other people's tools read: folders of files, made a part at a time.

Belongs here: one module a format (`formats` names them), and what they share: which fields (`selection`), pixels and
published bytes (`pixels`, `published`), the folder that is written (`folder`, `parts`, `making`), and what it says of
its origin (`provenance`). Does not belong here: lists of the published files (`archives.dataverse.exports`), and the
description of the derived data as a whole.

Every export is a pure function of what is published and of what was asked for. A part appears under its name whole or
not at all, so that an interrupted export is gone on with, and what stands in the folder already is not made again.
"""
