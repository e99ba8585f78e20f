"""The rules that anything fetched from the network has to keep."""

from dataclasses import dataclass

from ltlearn._version import __version__


@dataclass(frozen=True)
class FetchRules:
    """Limits and manners of fetching from the web.

    Whatever these say: only ``http`` and ``https`` are spoken; every address that a host name
    resolves to, at every redirect, must be public unless allowed, and the connection goes to the
    very address that was checked; no proxy, cookie or credential is used; compressed transfer is
    refused.

    Parameters
    ----------
    allow_networks : sequence of str, default=()
        Networks such as ``"127.0.0.0/8"`` that may be reached although they are not public.
    max_bytes : int, default=10_000_000
        Size limit of one file.
    max_pixels : int, default=50_000_000
        Limit of width times height of one image, checked before it is decompressed.
    timeout : float, default=30
        Seconds that one request may take from connecting to its last byte (looking up the host
        name apart, which the operating system limits).
    max_redirects : int, default=5
    attempts : int, default=3
        Times that a request is tried where trying again may help: time-outs, broken connections,
        status 429 and 5xx.
    delay : float, default=1
        Seconds between the starts of two requests to the same host. The host's ``Crawl-delay``
        and ``Retry-After`` count where they are longer.
    max_delay : float, default=60
        Longest wait, in seconds, that a host may ask for; URLs of a host that asks for more are
        left out.
    robots : bool, default=True
        Whether images are fetched only where the host's ``robots.txt`` (RFC 9309) allows it.
    user_agent : str
        Sent with every request, and its first word is matched with ``robots.txt``. Add a way to
        contact you: many hosts ask for one.

    Examples
    --------
    >>> from ltlearn.curation import FetchRules
    >>> rules = FetchRules(user_agent="my-study/1 (mailto:me@example.org)", max_bytes=2_000_000)
    """

    allow_networks: tuple[str, ...] = ()
    max_bytes: int = 10_000_000
    max_pixels: int = 50_000_000
    timeout: float = 30.0
    max_redirects: int = 5
    attempts: int = 3
    delay: float = 1.0
    max_delay: float = 60.0
    robots: bool = True
    user_agent: str = f"ltlearn/{__version__}"


DEFAULT_RULES = FetchRules()
