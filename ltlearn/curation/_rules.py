"""The rules that anything fetched from the network has to keep."""

import ipaddress
from dataclasses import dataclass

from ltlearn._version import __version__

LEAST = {
    "max_bytes": 1,
    "max_pixels": 1,
    "max_redirects": 0,
    "attempts": 1,
    "delay": 0,
    "max_delay": 0,
}


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
        Sent with every request, and its first word is matched with ``robots.txt``: ASCII. Add a
        way to contact you: many hosts ask for one.

    Raises
    ------
    ValueError
        When a limit is out of range, a network is none, or the user agent cannot be sent.

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

    def __post_init__(self):
        for name, least in LEAST.items():
            if not getattr(self, name) >= least:
                raise ValueError(f"{name} must be at least {least}; got {getattr(self, name)}.")
        if not self.timeout > 0:
            raise ValueError(f"timeout must be positive; got {self.timeout}.")
        if isinstance(self.allow_networks, str):
            raise ValueError(
                f"allow_networks must be a sequence of networks; got the text "
                f"{self.allow_networks!r}."
            )
        for network in self.allow_networks:
            try:
                ipaddress.ip_network(network)
            except ValueError as error:
                raise ValueError(f"allow_networks holds {network!r}: {error}.") from error
        agent = self.user_agent
        if not (agent.isascii() and agent.isprintable() and agent == agent.strip() != ""):
            raise ValueError(
                f"user_agent must be printable ASCII text without spaces around it; got {agent!r}."
            )


DEFAULT_RULES = FetchRules()
