"""FTP over TLS against a real server: listings, refusals, and that nothing is ever asked for without TLS."""

from __future__ import annotations

import logging
import shutil
import socketserver
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
import trustme
from pyftpdlib.authorizers import DummyAuthorizer  # type: ignore[import-untyped]
from pyftpdlib.handlers import TLS_FTPHandler  # type: ignore[import-untyped]
from pyftpdlib.servers import ThreadedFTPServer  # type: ignore[import-untyped]

from cm4ai_assets.archives.massive.client import MassiveClient
from cm4ai_assets.archives.massive.inventory import Entry, rows
from cm4ai_assets.archives.massive.listing import FtpsLister, rewritten
from cm4ai_assets.sandbox import massive as sandbox
from cm4ai_assets.transfer.errors import NetworkError, NotFoundError, ProtocolError, ServerUnavailableError, TlsError
from cm4ai_assets_tests.transfer.bench import FAST
from cm4ai_assets_tests.transfer.server import body, serving

ACCESSION = "MSV000098237"
FILES = {
    "ccms_parameters/params.xml": 12, "raw/Biosep/a_F07.d/analysis.tdf": 30, "raw/Biosep/a_F07.d/analysis.tdf_bin": 70,
    "search/a report, with blanks.tsv": 5, "empty.txt": 0,
}  # fmt: skip


@pytest.fixture(scope="module")
def authority() -> Iterator[tuple[Path, ssl.SSLContext]]:
    """The path of a server's key and certificate, and a context that trusts it."""
    ca = trustme.CA()
    context = ssl.create_default_context()
    ca.configure_trust(context)
    with ca.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.tempfile() as path:
        yield Path(path), context


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for path, size in FILES.items():
        target = tmp_path / "v10" / ACCESSION / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(b"x" * size)
    (tmp_path / "v09").mkdir()
    (tmp_path / "incoming").mkdir()
    return tmp_path


@contextmanager
def ftps(tree: Path, certificate: Path, **overrides: object) -> Iterator[int]:
    """A server on a port of its own, as MassIVE's: no login and no data without TLS."""
    authorizer = DummyAuthorizer()
    authorizer.add_anonymous(str(tree))
    attributes = {
        "authorizer": authorizer, "certfile": str(certificate), "tls_control_required": True, "tls_data_required": True,
        "ssl_context": None, **overrides,
    }  # fmt: skip
    handler = type("Handler", (TLS_FTPHandler,), attributes)
    logging.getLogger("pyftpdlib").setLevel(logging.CRITICAL)
    server = ThreadedFTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"timeout": 0.01, "handle_exit": False}, daemon=True)
    thread.start()
    try:
        yield int(server.address[1])
    finally:
        server.close_all()
        thread.join(5)


@pytest.fixture
def start(tree: Path, authority: tuple[Path, ssl.SSLContext]) -> Iterator[Callable[..., str]]:
    with ExitStack() as stack:

        def run(**overrides: object) -> str:
            port = stack.enter_context(ftps(tree, authority[0], **overrides))
            return f"ftp://127.0.0.1:{port}/v10/{ACCESSION}"

        yield run


@pytest.fixture
def lister(authority: tuple[Path, ssl.SSLContext]) -> FtpsLister:
    return FtpsLister(context=authority[1], retries=FAST)


def found(entries: list[Entry]) -> dict[str, int | None]:
    return {entry.path: entry.size for entry in entries}


def test_everything_below_the_root_is_listed(start: Callable[..., str], lister: FtpsLister) -> None:
    entries = lister.walk(start())
    assert found(entries) == FILES
    assert all(entry.modified is not None and entry.modified.year >= 2024 for entry in entries)
    assert [entry.path for entry in entries] == sorted(FILES)


def test_where_mlsd_is_not_known_list_is_used(start: Callable[..., str], lister: FtpsLister) -> None:
    def unknown(handler: TLS_FTPHandler, _: str) -> None:
        handler.respond("502 Command not implemented.")

    entries = lister.walk(start(ftp_MLSD=unknown))
    assert found(entries) == FILES
    assert {entry.modified for entry in entries} == {None}


def test_the_root_is_found_by_looking_not_by_counting(start: Callable[..., str], lister: FtpsLister) -> None:
    root = start()
    port = int(root.split(":")[2].split("/")[0])
    assert lister.find_root(ACCESSION, host="127.0.0.1", port=port) == root
    with pytest.raises(NotFoundError, match="MSV000000001"):
        lister.find_root("MSV000000001", host="127.0.0.1", port=port)


def test_a_folder_that_is_not_there(start: Callable[..., str], lister: FtpsLister) -> None:
    with pytest.raises(NotFoundError, match="does not exist"):
        lister.walk(f"{start()}x")


def test_a_folder_that_vanishes_meanwhile_is_listed_again(
    start: Callable[..., str], lister: FtpsLister, tree: Path
) -> None:
    seen: list[str] = []

    def listing(handler: TLS_FTPHandler, path: str) -> object:
        if path.endswith("raw") and not seen:
            seen.append(path)
            shutil.rmtree(tree / "v10" / ACCESSION / "raw")
        return TLS_FTPHandler.ftp_MLSD(handler, path)

    entries = lister.walk(start(ftp_MLSD=listing))
    assert seen
    assert found(entries) == {path: size for path, size in FILES.items() if not path.startswith("raw/")}


def test_a_busy_server_is_waited_for(start: Callable[..., str], lister: FtpsLister) -> None:
    tries: list[int] = []

    def login(handler: TLS_FTPHandler, line: str) -> object:
        tries.append(1)
        if len(tries) < 3:
            handler.respond("421 Too many connections.")
            handler.close_when_done()
            return None
        return TLS_FTPHandler.ftp_USER(handler, line)

    assert found(lister.walk(start(ftp_USER=login))) == FILES
    assert len(tries) == 3


def test_a_server_that_stays_busy_is_told(start: Callable[..., str], lister: FtpsLister) -> None:
    def login(handler: TLS_FTPHandler, _: str) -> None:
        handler.respond("421 Too many connections.")

    with pytest.raises(ServerUnavailableError, match="421"):
        lister.walk(start(ftp_USER=login))


def test_a_certificate_that_is_not_trusted_ends_it(start: Callable[..., str]) -> None:
    with pytest.raises(TlsError, match="not trusted"):
        FtpsLister(retries=FAST).walk(start())


class Plain(socketserver.StreamRequestHandler):
    """A server that knows no TLS, and notes what it is asked."""

    asked: list[bytes] = []  # noqa: RUF012

    def handle(self) -> None:
        self.wfile.write(b"220 Welcome\r\n")
        for line in self.rfile:
            self.asked.append(line.strip())
            self.wfile.write(b"500 AUTH not understood\r\n")


def test_nothing_is_asked_without_tls(lister: FtpsLister) -> None:
    Plain.asked.clear()
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Plain) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        with pytest.raises(TlsError, match="offers no TLS"):
            lister.walk(f"ftp://127.0.0.1:{server.server_address[1]}/v10/{ACCESSION}")
        server.shutdown()
    assert all(line.startswith(b"AUTH") for line in Plain.asked)


def test_nobody_there(lister: FtpsLister) -> None:
    with pytest.raises(NetworkError):
        lister.walk(f"ftp://127.0.0.1:1/v10/{ACCESSION}")


@pytest.mark.parametrize("root", ["https://h/v10/x", "ftp://user@h/v10/x", "nonsense"])
def test_what_is_no_address(lister: FtpsLister, root: str) -> None:
    with pytest.raises(ProtocolError):
        lister.walk(root)


def test_only_the_old_hosts_are_rewritten() -> None:
    assert rewritten(f"ftp://massive.ucsd.edu/v10/{ACCESSION}") == f"ftp://massive-ftp.ucsd.edu/v10/{ACCESSION}"
    assert rewritten("ftp://127.0.0.1:21/v10") == "ftp://127.0.0.1:21/v10"


def test_where_the_cache_knows_nothing_the_deposit_itself_is_listed(
    start: Callable[..., str], authority: tuple[Path, ssl.SSLContext]
) -> None:
    host = start().split("/")[2]
    with serving() as server:
        server.on(f"/ProteoSAFe/proxi/v0.1/datasets/{ACCESSION}", body(200, sandbox.proxi(ACCESSION, host=host)))
        server.on("/datasette/database/filename.csv", body(200, sandbox.cache_csv("MSV999999999")))
        with MassiveClient(server.url, context=authority[1], retries=FAST) as client:
            inventory = client.inventory(ACCESSION)
    assert (inventory.source, inventory.root) == ("ftps", f"ftp://{host}/v10/{ACCESSION}")
    assert inventory.notes == (f"The dataset cache does not know {ACCESSION}.",)
    assert rows(inventory)["path"].to_list() == [
        "ccms_parameters/params.xml", "empty.txt", "raw/Biosep/a_F07.d", "search/a report, with blanks.tsv",
    ]  # fmt: skip
