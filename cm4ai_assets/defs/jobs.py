"""Jobs: the named things an operator runs. One job cannot span assets with different partitions; see `launching`."""

from __future__ import annotations

import dagster as dg

from cm4ai_assets.defs import image_assets, release_assets

# Few fat steps in one process: a step costs half a second here and several seconds in a process of its own, and the
# heavy one uses every core by itself.
executor = dg.in_process_executor

release_lock = dg.define_asset_job(
    "release_lock",
    selection=dg.AssetSelection.groups(release_assets.GROUP),
    description="Ask the archive what a release consists of, and lock it: every file with id, size, digest and state.",
)

images = dg.define_asset_job(
    "images",
    selection=dg.AssetSelection.groups(image_assets.GROUP),
    description="One condition of a release, from its published ZIP to tensors, with every check. Needs the lock.",
)

JOBS = (release_lock, images)
