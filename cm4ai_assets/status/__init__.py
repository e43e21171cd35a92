"""The state of everything, in one value: for the page `platform_status`, for `cm4ai status`, and as JSON.

Belongs here: that value (`state`), and its forms for a page (`page`), a terminal (`lines`) and programs (`as_json`).
Does not belong here: asking the Dagster instance (`defs.status`), what could go (`retention`), what needs a person
(`incidents`). Nothing here asks the archive: what it said last is shown, with its time.
"""

from cm4ai_assets.status.as_json import as_json
from cm4ai_assets.status.recorded import Recorded
from cm4ai_assets.status.state import ReleaseLine, Status, state_of

__all__ = ["Recorded", "ReleaseLine", "Status", "as_json", "state_of"]
