"""Fetching from servers that nobody vouches for.

The address check sits where the connection is made, in a network backend of httpcore, so that no
redirect, host name or second DNS answer can lead around it.
"""

import ipaddress
import re
import socket
import time

from ltlearn.curation._files import now
from ltlearn.exceptions import FetchError
from ltlearn.utils._optional import import_optional_dependency

httpcore = import_optional_dependency("httpcore2", "curation")
httpx = import_optional_dependency("httpx2", "curation")
protego = import_optional_dependency("protego", "curation")

REDIRECTS = {301, 302, 303, 307, 308}

# RFC 9309, 2.5: at least 500 KiB of a robots.txt must be parsed.
ROBOTS_BYTES = 512 * 1024

# A host is given up for the rest of a run after so many URLs in a row that failed.
FAILURES_PER_HOST = 3

NAT64 = ipaddress.ip_network("64:ff9b::/96")


class Fetcher:
    """HTTP GET under :class:`~ltlearn.curation.FetchRules`.

    Parameters
    ----------
    rules : FetchRules
    """

    def __init__(self, rules):
        self.rules = rules
        self._backend = _CheckedBackend(rules)
        self._tls = httpcore.default_ssl_context()
        self._robots = {}
        self._next_start = {}
        self._failures = {}

    def get(self, url, *, accept, robots):
        """Fetch a URL, following redirects.

        Parameters
        ----------
        url : str
        accept : str
            Beginning of the content types that are wanted, e.g. ``"image/"``.
        robots : bool
            Whether ``robots.txt`` is asked first, where the rules say so.

        Returns
        -------
        content : bytes
        retrieved : str
            Time, ISO 8601, UTC.

        Raises
        ------
        FetchError
            With ``permanent`` set where the same URL would be refused again.
        """
        host = _checked_url(url).host
        failures = self._failures.pop(host, 0)
        if failures >= FAILURES_PER_HOST:
            self._failures[host] = failures
            raise FetchError(f"{failures} URLs of {host} failed in a row", permanent=False)
        for attempt in range(1, self.rules.attempts + 1):
            try:
                return self._get(url, accept, robots and self.rules.robots), now()
            except FetchError as error:
                if error.permanent:
                    raise
                if attempt == self.rules.attempts:
                    self._failures[host] = failures + 1
                    raise
                time.sleep(min(self.rules.delay * 2 ** (attempt - 1), self.rules.max_delay))

    def _get(self, url, accept, robots):
        url = _checked_url(url)
        for _ in range(self.rules.max_redirects + 1):
            delay = self.rules.delay
            if robots:
                delay = max(delay, self._robots_delay(url))
            status, headers, content = self._request(url, accept, delay, self.rules.max_bytes)
            if status not in REDIRECTS:
                return content
            url = _checked_url(headers.get("location", ""), base=url)
        raise FetchError(f"more than {self.rules.max_redirects} redirects", permanent=True)

    def _robots_delay(self, url):
        """Seconds between requests that ``robots.txt`` asks for; an error where it forbids."""
        address = url.copy_with(raw_path=b"/robots.txt", fragment=None)
        if address not in self._robots:
            self._robots[address] = self._read_robots(address)
        robots = self._robots[address]
        agent = re.match(r"[^\s/]*", self.rules.user_agent).group()
        if not robots.can_fetch(str(url), agent):
            raise FetchError("robots.txt forbids it", permanent=True)
        return float(robots.crawl_delay(agent) or 0)

    def _read_robots(self, url):
        try:
            for _ in range(self.rules.max_redirects + 1):
                status, headers, content = self._request(
                    url, "", self.rules.delay, ROBOTS_BYTES, truncate=True
                )
                if status not in REDIRECTS:
                    return protego.Protego.parse(content.decode("utf-8-sig", "replace"))
                url = _checked_url(headers.get("location", ""), base=url)
        except FetchError as error:
            # RFC 9309, 2.3.1: what the server says is not there forbids nothing; what cannot be
            # reached forbids everything.
            if not isinstance(error, _StatusError) or not error.permanent:
                raise FetchError(f"robots.txt: {error}", permanent=error.permanent) from error
        return protego.Protego.parse("")

    def _request(self, url, accept, delay, max_bytes, *, truncate=False):
        """One request, no redirects: status, headers and content."""
        self._wait(url.host, delay)
        try:
            return self._exchange(url, accept, max_bytes, truncate)
        except (httpcore.TimeoutException, httpcore.NetworkError, httpcore.ProtocolError) as error:
            message = f"{type(error).__name__}: {error}".rstrip(": ")
            raise FetchError(message, permanent=False) from error

    def _wait(self, host, delay):
        wait = max(0.0, self._next_start.get(host, 0.0) - time.monotonic())
        if max(delay, wait) > self.rules.max_delay:
            raise FetchError(
                f"{host} asks for {max(delay, wait):.0f} seconds between requests", permanent=False
            )
        time.sleep(wait)
        self._next_start[host] = time.monotonic() + delay

    def _exchange(self, url, accept, max_bytes, truncate):
        self._backend.deadline = time.monotonic() + self.rules.timeout
        request_headers = {
            "Host": url.netloc.decode("ascii"),
            "User-Agent": self.rules.user_agent,
            "Accept": f"{accept}*" if accept else "*/*",
            "Accept-Encoding": "identity",
        }
        with (
            httpcore.ConnectionPool(
                ssl_context=self._tls, network_backend=self._backend
            ) as connections,
            connections.stream("GET", str(url), headers=request_headers) as response,
        ):
            headers = httpx.Headers(response.headers)
            if response.status in REDIRECTS:
                return response.status, headers, b""
            self._check_status(url.host, response.status, headers)
            _check_headers(headers, accept, None if truncate else max_bytes)
            content = bytearray()
            for chunk in response.iter_stream():
                content += chunk
                if len(content) > max_bytes:
                    if truncate:
                        break
                    raise FetchError(f"more than {max_bytes} bytes", permanent=True)
            return response.status, headers, bytes(content[:max_bytes])

    def _check_status(self, host, status, headers):
        if 200 <= status < 300:
            return
        temporary = status == 429 or status >= 500
        wait = _number(headers.get("retry-after", ""))
        if temporary and wait is not None:
            self._next_start[host] = time.monotonic() + wait
        raise _StatusError(f"status {status}", permanent=not temporary)


class _StatusError(FetchError):
    """The server answered that it has nothing to give."""


class _CheckedBackend:
    """Network backend of httpcore that connects to allowed addresses only, until a deadline.

    Parameters
    ----------
    rules : FetchRules
    """

    def __init__(self, rules):
        self._allowed = [ipaddress.ip_network(network) for network in rules.allow_networks]
        self._sockets = httpcore.SyncBackend()
        self.deadline = 0.0

    def connect_tcp(self, host, port, timeout=None, local_address=None, socket_options=None):
        addresses = self._resolve(host, port)
        for tried, address in enumerate(addresses, start=1):
            seconds = self.remaining() / (len(addresses) - tried + 1)
            try:
                stream = self._sockets.connect_tcp(
                    address, port, seconds, local_address, socket_options
                )
                return _DeadlineStream(stream, self)
            except (httpcore.ConnectError, httpcore.ConnectTimeout):
                if tried == len(addresses):
                    raise

    def _resolve(self, host, port):
        """Addresses of a host, all of them checked."""
        try:
            found = socket.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            raise httpcore.ConnectError(f"{host} cannot be resolved: {error}") from error
        addresses = list(dict.fromkeys(info[4][0] for info in found))
        for address in addresses:
            ip = ipaddress.ip_address(address)
            if not (is_public(ip) or any(ip in network for network in self._allowed)):
                raise FetchError(f"{host} is at {address}, which is not public", permanent=True)
        return addresses

    def remaining(self):
        """Seconds until the deadline."""
        seconds = self.deadline - time.monotonic()
        if seconds <= 0:
            raise httpcore.ReadTimeout("the request took too long")
        return seconds

    def sleep(self, seconds):
        time.sleep(seconds)


class _DeadlineStream:
    """Stream of httpcore whose every operation ends at the backend's deadline."""

    def __init__(self, stream, backend):
        self._stream = stream
        self._backend = backend

    def read(self, max_bytes, timeout=None):
        return self._stream.read(max_bytes, self._backend.remaining())

    def write(self, buffer, timeout=None):
        self._stream.write(buffer, self._backend.remaining())

    def start_tls(self, ssl_context, server_hostname=None, timeout=None):
        stream = self._stream.start_tls(ssl_context, server_hostname, self._backend.remaining())
        return _DeadlineStream(stream, self._backend)

    def close(self):
        self._stream.close()

    def get_extra_info(self, info):
        return self._stream.get_extra_info(info)


def is_public(ip):
    """Whether an address is a public unicast address, seen through IPv6 forms of IPv4 ones.

    Parameters
    ----------
    ip : ipaddress.IPv4Address or ipaddress.IPv6Address

    Returns
    -------
    public : bool
    """
    if ip.version == 6:
        embedded = ip.ipv4_mapped or ip.sixtofour
        if ip in NAT64:
            embedded = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
        if embedded is not None:
            return is_public(embedded)
        if ip.is_site_local:
            return False
    return ip.is_global and not ip.is_multicast and not ip.is_reserved


def _checked_url(address, base=None):
    try:
        url = httpx.URL(address) if base is None else base.join(address)
        port = url.port or 1
    except (httpx.InvalidURL, TypeError, ValueError) as error:
        raise FetchError(f"not a URL: {error}", permanent=True) from error
    if url.scheme not in ("http", "https") or not url.host or not 1 <= port <= 65535:
        raise FetchError("not an http or https URL", permanent=True)
    if url.userinfo:
        raise FetchError("the URL holds credentials", permanent=True)
    return url


def _check_headers(headers, accept, max_bytes):
    content_type = headers.get("content-type", "").strip().lower()
    if not content_type.startswith(accept):
        raise FetchError(f"content type {content_type[:50]!r}, not {accept}*", permanent=True)
    if headers.get("content-encoding", "identity").strip().lower() != "identity":
        raise FetchError("compressed transfer, which was not asked for", permanent=True)
    length = _number(headers.get("content-length", ""))
    if max_bytes is not None and length is not None and length > max_bytes:
        raise FetchError(f"{length:.0f} bytes, more than {max_bytes}", permanent=True)


def _number(text):
    """Whole number that a server sent, of any length; None where it is none."""
    return float(text) if text.isascii() and text.isdigit() else None
