"""Search for openly licensed images through the public API of Openverse."""

import json
from collections.abc import Iterator
from functools import cached_property
from urllib.parse import urlencode

from ltlearn.curation._rules import DEFAULT_RULES, FetchRules
from ltlearn.curation._types import SearchResult
from ltlearn.exceptions import FetchError

# The largest page that is served without an account.
PAGE_SIZE = 20


class OpenverseSearch:
    """Openly licensed images, found by Openverse (https://openverse.org), no key needed.

    The API is meant for programs, so its ``robots.txt`` is not asked; the other
    :class:`~ltlearn.curation.FetchRules` hold.

    Parameters
    ----------
    license : str, default=""
        Comma-separated licenses to accept, e.g. ``"cc0,pdm,by,by-sa"``; all if empty.
    base_url : str, default="https://api.openverse.org/v1/images/"
    rules : FetchRules, default=FetchRules()

    Examples
    --------
    >>> from ltlearn.curation import FetchRules, OpenverseSearch
    >>> rules = FetchRules(user_agent="my-study/1 (mailto:me@example.org)")
    >>> search = OpenverseSearch(license="cc0,pdm,by", rules=rules)
    >>> results = list(search.search("sea lion", 20))  # doctest: +SKIP
    """

    def __init__(
        self,
        *,
        license: str = "",
        base_url: str = "https://api.openverse.org/v1/images/",
        rules: FetchRules = DEFAULT_RULES,
    ) -> None:
        self.license = license
        self.base_url = base_url
        self.rules = rules

    def __repr__(self):
        return f"OpenverseSearch(license={self.license!r}, base_url={self.base_url!r})"

    @cached_property
    def _fetcher(self):
        """One for all searches: it keeps the time between requests."""
        from ltlearn.curation._fetch import Fetcher

        return Fetcher(self.rules)

    def search(self, query: str, n: int) -> Iterator[SearchResult]:
        """Yield results in Openverse's order.

        Parameters
        ----------
        query : str
        n : int
            Most results wanted.

        Yields
        ------
        result : SearchResult

        Raises
        ------
        FetchError
            When the API cannot be reached, or answers in another format.
        """
        parameters = {"q": query, "page_size": PAGE_SIZE}
        if self.license:
            parameters["license"] = self.license
        found, page, last_page = 0, 0, 1
        while found < n and page < last_page:
            page += 1
            address = f"{self.base_url}?{urlencode({**parameters, 'page': page})}"
            content, _ = self._fetcher.get(address, accept="application/json", robots=False)
            try:
                answer = json.loads(content)
                last_page = int(answer["page_count"])
                results = [_result(item) for item in answer["results"]]
            except Exception as error:  # an answer may be odd in any way
                message = f"{self.base_url} answered in an unknown format: {error!r}"
                raise FetchError(message, permanent=False) from error
            yield from results[: n - found]
            found += len(results)


def _result(item):
    terms = [item.get("license"), item.get("license_version")]
    return SearchResult(
        url=item["url"],
        license=" ".join(term for term in terms if term),
        license_url=item.get("license_url") or "",
        creator=item.get("creator") or "",
        landing_page=item.get("foreign_landing_url") or "",
    )
