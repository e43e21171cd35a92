"""Pages of nuclei: every number and picture, for many nuclei and for none."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np

from cm4ai_assets.cells.audit import audit_cells
from cm4ai_assets.cells.outlines import with_outlines
from cm4ai_assets.cells.products import product_of
from cm4ai_assets.defs.cells import pages
from cm4ai_assets.images.names import short_label
from cm4ai_assets.images.shards import StoreWriter, compress
from cm4ai_assets.loading.reader import ShardReader
from cm4ai_assets.storage import layout, tensors
from cm4ai_assets.storage.nuclei import open_labels
from cm4ai_assets.storage.recorded import METADATA
from cm4ai_assets.storage.store import Store
from cm4ai_assets.storage.tensors import tensor_digest
from cm4ai_assets.tables import table
from cm4ai_assets.tables.images import CHANNELS
from cm4ai_assets_tests.cells.conftest import CONDITION, EDGE, FIELDS, PARTITION, RELEASE, Room

PICTURES = ("outlines", "cells", "areas", "counts", "plates")


def test_a_page_shows_counts_outlines_and_plates(shared_room: Room) -> None:
    with product_of(shared_room.store, shared_room.tensor, first_published_in={}) as product:
        cells = product.table(shared_room.fields, release=RELEASE, condition=CONDITION)
        page = pages.of_cells(cells, shared_room.fields, product, shared_room.store, shared_room.tensor)
    assert (page["nuclei"], page["fields"], page["fields_without_nuclei"]) == (cells.height, FIELDS, 1)
    assert page["plausible"] == cells["plausible"].sum()
    assert "version 1" in str(page["algorithm"])
    assert str(page["reused"]).startswith("yes")
    for name in PICTURES:
        assert "base64," in page[name].value


def test_outlines_are_drawn_on_the_stain_in_which_the_nuclei_were_found(shared_room: Room) -> None:
    store, fields = shared_room.store, shared_room.fields
    reader = ShardReader(store.url, store.address(shared_room.tensor))
    with product_of(store, shared_room.tensor, first_published_in={}) as product:
        cells = product.table(fields, release=RELEASE, condition=CONDITION)
        labels = open_labels(product.fs, product.store_path)
        shown = list(with_outlines(fields, cells, reader, labels))
    assert [label for label, *_ in shown] == [short_label(field_id) for field_id in fields["field_id"]]
    for index, (_, stain, nuclei, plausible) in zip(fields["tensor_index"], shown, strict=True):
        assert np.array_equal(stain, reader.read(index)[CHANNELS.index("blue")])
        if nuclei.any():
            assert stain[nuclei > 0].mean() > 2 * stain[nuclei == 0].mean()
        assert plausible <= set(np.unique(nuclei).tolist())


def test_fields_that_a_check_names_are_shown_with_outlines(shared_room: Room) -> None:
    wanted = shared_room.fields["field_id"].to_list()[2:7]
    page = pages.of_offenders(wanted, shared_room.store, PARTITION)
    assert str(page["pictures_show"]).split(", ") == wanted[:3]
    assert pages.reasons(shared_room.store, PARTITION).height == FIELDS


def test_a_condition_without_a_nucleus_has_a_table_without_rows_and_a_page(shared_room: Room, tmp_path: Path) -> None:
    writer, dark = StoreWriter(tmp_path / "made", EDGE), np.zeros((EDGE, EDGE), np.uint8)
    digest = hashlib.sha256(dark.data).hexdigest()
    for _ in range(2):
        writer.append([chunk for _ in range(4) for chunk in compress(dark)])
    writer.finish(source_sha256="cd" * 32, digest=tensor_digest([digest] * 8), failures={})
    store = Store(str(tmp_path / "storage"), scratch=tmp_path / "scratch")
    tensor = layout.tensor_path(tensors.tensor_id("cd" * 32, EDGE))
    store.publish_tree(tmp_path / "made", tensor, last=METADATA)
    fields = shared_room.fields.head(2)
    with product_of(store, tensor, first_published_in={}) as product:
        cells = product.table(fields, release=RELEASE, condition=CONDITION)
        assert cells.is_empty()
        assert table("if_cells").violations(cells) == []
        assert audit_cells(product, cells, fields).passed
        page = pages.of_cells(cells, fields, product, store, tensor)
    assert (page["nuclei"], page["fields_without_nuclei"]) == (0, 2)
    assert all("base64," in page[name].value for name in PICTURES)
