"""Origins and redirects: who may see the token, where a redirect may lead, and what of a URL may be shown.

Belongs here: rules about URLs and addresses. Does not belong here: sending anything (`http`).
"""

from __future__ import annotations

import ipaddress
import socket
import urllib.request
from urllib.parse import parse_qsl, urlsplit

from cm4ai_assets.transfer.errors import NetworkError, RedirectRefusedError

# Parameters of Dataverse that carry a secret: tokens in the URL, and signed URLs.
_SECRET_PARAMETERS = frozenset({"key", "token", "signature", "x-dataverse-key"})

Origin = tuple[str, str, int]


def origin(url: str) -> Origin:
    """Scheme, host and port of a URL: what a token belongs to.

    Raises:
        ValueError: It is no URL: a port that is no number or too large, a bracket without its other half.
    """
    parts = urlsplit(url)
    default = 443 if parts.scheme == "https" else 80
    return parts.scheme.lower(), (parts.hostname or "").lower(), parts.port or default


def redacted(url: str, *, home: Origin) -> str:
    """The URL as it may be logged: the archive's own without secrets, any other without its query, a signature."""
    parts = urlsplit(url)
    host = f"[{parts.hostname}]" if parts.hostname and ":" in parts.hostname else parts.hostname or ""
    port = f":{parts.port}" if parts.port else ""
    bare = f"{parts.scheme}://{host}{port}{parts.path}"
    if not parts.query:
        return bare
    if origin(url) != home:
        return f"{bare}?…"
    pairs = parse_qsl(parts.query, keep_blank_values=True)
    return f"{bare}?{'&'.join(name + '=' + ('…' if _is_secret(name) else value) for name, value in pairs)}"


def _is_secret(name: str) -> bool:
    return name.lower() in _SECRET_PARAMETERS or name.lower().startswith("x-amz-")


def allow_redirect(target: str, *, home: Origin, what: str) -> None:
    """See that a redirect may be followed.

    To the archive itself always; elsewhere only over https to a public address. If the archive is a test server (plain
    http on a loopback address), other loopback addresses are allowed as well.

    Raises:
        RedirectRefusedError: It may not; the message says why.
        NetworkError: The name of the target cannot be resolved.
    """
    try:
        scheme, host, port = origin(target)
    except ValueError as error:
        raise _refused(what, f"it leads to an address that is no URL ({error})") from error
    if (scheme, host, port) == home:
        return
    testing = home[0] == "http" and _is_loopback(home[1])
    if scheme != "https" and not (scheme == "http" and testing):
        raise _refused(what, f"it leads to {scheme or 'no'} scheme, not https")
    if urlsplit(target).username is not None:
        raise _refused(what, "it carries credentials")
    for address in _addresses(host, port, proxied=proxy_of(target) is not None):
        if address.is_loopback and testing:
            continue
        if not address.is_global or address.is_multicast:
            raise _refused(what, f"it leads to {address}, which is not a public address")


def _refused(what: str, reason: str) -> RedirectRefusedError:
    return RedirectRefusedError(
        f"A redirect was refused ({what}): {reason}.",
        remedy="Report it to the archive; nothing was sent to the other address.",
    )


def _addresses(host: str, port: int, *, proxied: bool) -> list[ipaddress.IPv4Address | ipaddress.IPv6Address]:
    """Every address of a host. Behind a proxy only those written in the URL: names are the proxy's to resolve."""
    try:
        return [_plain(ipaddress.ip_address(host))]
    except ValueError:
        if proxied:
            return []
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise NetworkError(f"The host {host} of a redirect cannot be resolved: {error}.") from error
    return [_plain(ipaddress.ip_address(str(entry[4][0]).split("%", 1)[0])) for entry in found]


def _plain(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    # ::ffff:169.254.169.254 is 169.254.169.254.
    return getattr(address, "ipv4_mapped", None) or address


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def is_loopback_http(url: str) -> bool:
    """Whether a URL is a test server's: plain http on this machine."""
    scheme, host, _ = origin(url)
    return scheme == "http" and _is_loopback(host)


def proxy_of(url: str) -> str | None:
    """The proxy by which the environment sends a URL: HTTPS_PROXY, HTTP_PROXY or ALL_PROXY; None by NO_PROXY."""
    parts = urlsplit(url)
    proxies = urllib.request.getproxies()
    proxy = proxies.get(parts.scheme) or proxies.get("all")
    if not proxy or urllib.request.proxy_bypass(parts.hostname or ""):
        return None
    return proxy if "://" in proxy else f"http://{proxy}"
