"""The state of everything: asking the Dagster instance, the asset `platform_status`, and when it is made again.

Belongs here: what knows Dagster. Does not belong here: what is said of it, and in which form (`status`).
"""
