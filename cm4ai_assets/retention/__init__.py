"""What of the storage is needed, how many bytes each release takes, and what could go.

Belongs here: that one answer, for `cm4ai gc`, `cm4ai status` and the status page, and taking away what could go. Does
not belong here: what a release refers to (`references`), and whether runs are under way (`defs.collecting`).

What could go is never asked of the thing itself: it is what remains when all that registered releases refer to is taken
out. Where that is not known for certain, nothing of it could go (`Usage.unknown`).
"""

from cm4ai_assets.retention.usage import ReleaseUsage, Usage, usage
from cm4ai_assets.retention.words import Removable, What

__all__ = ["ReleaseUsage", "Removable", "Usage", "What", "usage"]
