"""A local S3 server for the tests: moto's, in a thread of this process, reached by s3fs as any other would be."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import fsspec
import httpx2
import pytest

BUCKET = "cm4ai-tests"


@contextmanager
def s3_server() -> Iterator[str]:
    """A server with one empty bucket, named by the environment as operators name theirs; the bucket's URL."""
    from moto.server import ThreadedMotoServer  # noqa: PLC0415 - slow to import

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    httpx2.post(f"http://{host}:{port}/moto-api/reset")  # what an earlier server of this process held is still there
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
        environment.setenv("AWS_ACCESS_KEY_ID", "tests")
        environment.setenv("AWS_SECRET_ACCESS_KEY", "tests")
        environment.setenv("AWS_DEFAULT_REGION", "us-east-1")
        fsspec.filesystem("s3", skip_instance_cache=True).mkdir(BUCKET)
        try:
            yield f"s3://{BUCKET}"
        finally:
            server.stop()
            fsspec.get_filesystem_class("s3").clear_instance_cache()
