"""One ZIP, one tensor: what happens when two runs make it, and when a name is taken."""

from __future__ import annotations

from pathlib import Path

import pytest

from cm4ai_assets.conditions import Condition
from cm4ai_assets.errors import TensorStoreError
from cm4ai_assets.images.fields import eligible_fields
from cm4ai_assets.images.listing import list_images
from cm4ai_assets.images.tensors import product_of
from cm4ai_assets.sandbox import write_if_zip
from cm4ai_assets.storage.bytes import LocalBytes
from cm4ai_assets.storage.store import Store
from cm4ai_assets.storage.zips import read_directory

SHA256 = "ab" * 32


def test_the_second_of_two_runs_leaves_the_published_tensor_where_readers_have_it(store: Store, tmp_path: Path) -> None:
    write_if_zip(tmp_path / "if.zip", condition=Condition.UNTREATED, fields=8)
    with LocalBytes(tmp_path / "if.zip") as source:
        members = read_directory(source).members
        plans = eligible_fields(list_images(source, release="2026-06-v2.0", condition=Condition.UNTREATED))[:1]
        first = product_of(store, source, members, plans, source_sha256=SHA256, edge=256, first_published_in={})
        second = product_of(store, source, members, plans, source_sha256=SHA256, edge=256, first_published_in={})
        with first as one, second as other:
            assert not one.reused
            assert not other.reused
            one.publish()
            folder = Path(store.root) / one.path
            before = folder.stat().st_ino
            other.publish()
            assert folder.stat().st_ino == before
        with product_of(store, source, members, plans, source_sha256=SHA256, edge=256, first_published_in={}) as again:
            assert again.reused
            assert again.images == 0
        alike = SHA256[:16] + "0" * 48
        with (
            pytest.raises(TensorStoreError, match="not of abababababababab0000"),
            product_of(store, source, members, plans, source_sha256=alike, edge=256, first_published_in={}),
        ):
            pytest.fail("another ZIP's pixels were handed out")
