"""Jobs: the named things an operator runs. One job cannot span assets with different partitions; see `launching`."""

from __future__ import annotations

import dagster as dg

from cm4ai_assets.defs.crates import assets as crate_assets
from cm4ai_assets.defs.images import assets as image_assets
from cm4ai_assets.defs.integration import assets as integration_assets
from cm4ai_assets.defs.perturbseq import archives as perturbseq_archives
from cm4ai_assets.defs.perturbseq import tables as screen_assets
from cm4ai_assets.defs.perturbseq import targets as perturbseq_targets
from cm4ai_assets.defs.proteomics import assets as proteomics_assets
from cm4ai_assets.defs.proteomics import deposits as massive_assets
from cm4ai_assets.defs.release import assets as release_assets
from cm4ai_assets.tables.publication import GROUP

release_lock = dg.define_asset_job(
    "release_lock",
    selection=dg.AssetSelection.assets(*release_assets.ASSETS),
    description="Ask the archive what a release consists of, lock it, and tell what changed since the one before.",
)

images = dg.define_asset_job(
    "images",
    selection=dg.AssetSelection.groups(image_assets.GROUP),
    description="One condition of a release, from its published ZIP to tensors, with every check. Needs the lock.",
)

secms = dg.define_asset_job(
    "secms",
    selection=dg.AssetSelection.assets(proteomics_assets.secms),
    description="Elution profiles and protein groups of one condition of a release, with every check. Needs the lock.",
)

apms = dg.define_asset_job(
    "apms",
    selection=dg.AssetSelection.assets(proteomics_assets.apms_interactions, proteomics_assets.apms_runs),
    description="Scored interactions and annotated runs of one condition of a release, with every check. Needs the "
    "lock; the runs stand in the deposits that massive_files lists.",
)

massive = dg.define_asset_job(
    "massive",
    selection=dg.AssetSelection.assets(massive_assets.massive_files),
    description="What the release's deposits at MassIVE hold. Asks for listings; pulls nothing. Needs the lock.",
)

perturbseq_archives_job = dg.define_asset_job(
    "perturbseq_archives",
    selection=dg.AssetSelection.assets(*perturbseq_archives.ASSETS),
    description="What Figshare, ENA and NCBI hold of the release's Perturb-seq data. Asks for listings; pulls nothing. "
    "Needs the lock.",
)

perturbseq_targets_job = dg.define_asset_job(
    "perturbseq_targets",
    selection=dg.AssetSelection.assets(*perturbseq_targets.ASSETS),
    description="Perturbed genes and their profiles, from one pass over the counts of the release's h5ad. Reads a file "
    "that is stored or that CM4AI_H5AD names; fetches one below CM4AI_PERTURBSEQ_GB. Needs the lock.",
)

screen = dg.define_asset_job(
    "screen",
    selection=dg.AssetSelection.assets(screen_assets.guide_library, screen_assets.perturb_cells),
    description="Guides and cells of the Perturb-seq screen, with every check. Needs the lock of the article. Of a "
    "large h5ad only the table of cells is read, by range.",
)

cellranger = dg.define_asset_job(
    "cellranger",
    selection=dg.AssetSelection.assets(screen_assets.cellranger_metrics),
    description="Sequencing statistics of the Perturb-seq channels, with every check. Needs the lock.",
)

integration = dg.define_asset_job(
    "integration",
    selection=dg.AssetSelection.groups(integration_assets.GROUP),
    description="Coverage of genes and proteins, splits of fields, plates and effects of treatments, of the tables "
    "that a release has here. Fetches nothing.",
)

publication = dg.define_asset_job(
    "publication",
    selection=dg.AssetSelection.groups(GROUP),
    description="The documents that describe a release as it is delivered here: Croissant, report, derived crate, "
    "scorecard. Fetches nothing.",
)

release_metadata = dg.define_asset_job(
    "release_metadata",
    selection=dg.AssetSelection.assets(*crate_assets.OF_RELEASE),
    description="What the release's crates and datasheets claim, with every check against the archive. Fetches "
    "metadata and small packages only. Needs the lock.",
)

usage = dg.define_asset_job(
    "usage",
    selection=dg.AssetSelection.assets(crate_assets.usage_metrics),
    description="How often every registered dataset was viewed, downloaded and cited, as the services say now.",
)

JOBS = (
    release_lock,
    images,
    secms,
    apms,
    massive,
    perturbseq_archives_job,
    perturbseq_targets_job,
    screen,
    cellranger,
    integration,
    publication,
    release_metadata,
    usage,
)
