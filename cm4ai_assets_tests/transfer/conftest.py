"""The fixtures of the transfer tests: servers, a client with short waits, a store."""

from cm4ai_assets_tests.transfer.bench import (  # noqa: F401
    archive,
    bench,
    blobs,
    bodies,
    client,
    make_client,
    scratch,
    store_host,
)
