"""The pictures that README and the site show, taken from the sandbox's UI by the suite.

A picture is data: the page it is taken of, what it shows, and its caption. `make pictures` writes all of them into
docs/pictures/, and every run of the suite opens the same pages and looks for what the captions name, so that a picture
of a page that changed is noticed. Pixels are not compared: fonts and times of day differ from machine to machine.

Belongs here: which pictures there are, and how one is taken. Does not belong here: the UI and what it shows
(`test_ui.served`), and who uses the pictures (`site.test_pictures`).
"""

from __future__ import annotations

import io
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from PIL import Image

from cm4ai_assets.settings import PROJECT

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

RELEASE: Final = "2026-06-v2.0"  # what `test_ui.served` materializes, of paclitaxel
PARTITION: Final = f"paclitaxel%7C{RELEASE}"
FOLDER: Final = PROJECT / "docs" / "pictures"
MAX_BYTES: Final = 150_000
_MAX_WIDTH: Final = 1440
_QUALITIES: Final = (82, 70, 55, 40)


Opens = Callable[["Page"], "Locator | None"]


@dataclass(frozen=True)
class Picture:
    """One picture of the UI.

    Attributes:
        name: Of the file, `docs/pictures/{name}.webp`.
        address: The page, on the UI's address.
        caption: What stands under it, and is read aloud to who does not see it. Pages use it as it stands here.
        shows: Texts of the page that make the caption true. A page without one of them fails the suite.
        opens: What is clicked before the picture is taken; gives the part that is taken, or None for the whole window.
        size: Width and height of the window.
    """

    name: str
    address: str
    caption: str
    shows: tuple[str, ...]
    opens: Opens | None = None
    size: tuple[int, int] = (1440, 900)

    @property
    def path(self) -> Path:
        """Where it stands in the checkout."""
        return FOLDER / f"{self.name}.webp"


def of_metadata(label: str) -> Opens:
    """Opens the Markdown of a metadata entry; the picture in it is taken."""

    def opened(page: Page) -> Locator:
        row = page.get_by_role("row").filter(has_text=label).filter(has_text="[Show Markdown]").last
        row.get_by_text("[Show Markdown]").click()
        picture = page.locator("img[src^='data:image/']").last
        picture.wait_for()
        return picture

    return opened


def _offending_rows(page: Page) -> None:
    # Not the latest execution: the daemon may be at work on another condition.
    page.get_by_text("Execution history", exact=True).click()
    row = page.get_by_role("row").filter(has_text="paclitaxel").filter(has_text="other_condition 5")
    row.last.get_by_role("button").last.click()
    page.get_by_role("dialog").get_by_text("[Show Markdown]").click()
    page.get_by_text(re.compile(r"untreated_\w+_red\.jpg")).first.wait_for()


PICTURES: Final = (
    Picture(
        "contact-sheet",
        f"/assets/if_fields?view=partitions&partition={PARTITION}",
        "A contact sheet of synthetic fields, as the page of if_fields has it: plate, well, region and plane of each",
        ("contact_sheet", "dagster/row_count"),
        of_metadata("contact_sheet"),
    ),
    Picture(
        "asset-graph",
        "/assets/if_cells?view=lineage&lineageScope=upstream&lineageDepth=4",
        "The way to the nuclei in the Dagster UI: collection, lock, ZIP, images, fields, tensor, cells",
        ("release_files", "if_archive", "if_images", "if_fields", "if_tensors", "if_cells"),
        size=(1700, 640),
    ),
    Picture(
        "warning-check",
        "/assets/if_images?view=checks&checkDetail=images_of_this_condition",
        "A check that warns, with the rows behind it: images of another treatment lie in the ZIP of paclitaxel",
        ("images_of_this_condition", "No image of another treatment lies in the ZIP"),
        _offending_rows,
    ),
    Picture(
        "status",
        "/documents/platform_status/",
        "The state of everything on one page: what needs a person, each condition of each release, freshness, disk",
        ("At a glance", "What needs a person", RELEASE),
    ),
    Picture(
        "report",
        f"/documents/datasheet_report/{RELEASE}/",
        "The report of a release, as colleagues get it: one page with contents, numbers and contact sheets",
        ("Contact sheets", RELEASE),
    ),
)


def take(page: Page, picture: Picture, folder: Path) -> Path:
    """Open the page of a picture, wait for what its caption names, and write the picture into a folder.

    Raises:
        playwright.sync_api.TimeoutError: The page does not show what the caption names.
    """
    width, height = picture.size
    page.set_viewport_size({"width": width, "height": height})
    page.goto(picture.address)
    for text in picture.shows:
        page.get_by_text(text).first.wait_for()
    part = picture.opens(page) if picture.opens else None
    page.wait_for_timeout(500)  # what fades in
    pixels = part.screenshot() if part else page.screenshot()
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / picture.path.name
    target.write_bytes(small(pixels))
    return target


def small(png: bytes) -> bytes:
    """A screenshot as WebP of at most `MAX_BYTES`.

    Raises:
        ValueError: It stays larger in any quality.
    """
    image = Image.open(io.BytesIO(png)).convert("RGB")
    image.thumbnail((_MAX_WIDTH, image.height))
    for quality in _QUALITIES:
        written = io.BytesIO()
        image.save(written, "WEBP", quality=quality, method=6)
        if written.tell() <= MAX_BYTES:
            return written.getvalue()
    raise ValueError(f"A picture of {image.size} stays above {MAX_BYTES} bytes. Take a part of the page.")


def folder_of(screenshots: Path) -> Path:
    """Where the suite writes pictures: beside its screenshots, or into docs/pictures/ where `make pictures` asks it."""
    return FOLDER if os.environ.get("CM4AI_PICTURES") else screenshots / "pictures"
