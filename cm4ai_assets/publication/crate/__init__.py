"""RO-Crates of what a release delivers: which run made which file of which published bytes.

    from cm4ai_assets.publication.crate import build, facts_of
    files = build(facts_of(release, delivered(store, release.key)))   # name to bytes

`damaged` reads again every file that a document's crates list.
"""

from cm4ai_assets.publication.crate.building import build, graphs
from cm4ai_assets.publication.crate.facts import Facts, facts_of
from cm4ai_assets.publication.crate.ids import content_id
from cm4ai_assets.publication.crate.reading import Listed, damaged, listed

__all__ = ["Facts", "Listed", "build", "content_id", "damaged", "facts_of", "graphs", "listed"]
