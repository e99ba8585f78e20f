"""Images from the web, one after the other, with a record of every one."""

import io
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path

from ltlearn.curation._files import Journal, checksum, now, plain_text, write_atomically
from ltlearn.curation._integrity import has_checksum, is_within
from ltlearn.curation._rules import DEFAULT_RULES, FetchRules
from ltlearn.curation._types import Candidate, SearchResult
from ltlearn.curation.protocols import SearchEngine
from ltlearn.exceptions import BadImageError, FetchError
from ltlearn.images._decode import decode_image
from ltlearn.utils._text import without_addresses
from ltlearn.utils._typing import FilePath

FORMATS = ("JPEG", "PNG", "WEBP", "GIF")

# Pillow finds MPO, several JPEG images in one file as phones write them, where it opens a JPEG.
EXTENSIONS = {"JPEG": ".jpg", "MPO": ".jpg", "PNG": ".png", "WEBP": ".webp", "GIF": ".gif"}


class WebSource:
    """Images that a search engine finds for the name of an auxiliary class.

    Every search, and the outcome of every URL, is recorded in ``journal.jsonl`` as soon as it is
    known, and images are kept in ``images/`` under their SHA-256. A later run repeats no search,
    and asks again only for URLs that failed for a passing reason (time-outs, broken connections,
    status 429 and 5xx).

    A response counts as an image if it keeps the :class:`~ltlearn.curation.FetchRules`, says that
    it is one, and decodes as JPEG, PNG, WebP or GIF.

    Parameters
    ----------
    search : object with ``search(query, n)``
        E.g. :class:`~ltlearn.curation.OpenverseSearch`; see
        :class:`~ltlearn.curation.protocols.SearchEngine`.
    images_per_class : int, default=50
        Fetching for a class stops at this number of images.
    results_per_class : int, default=150
        Number of search results to go through for them at most.
    query : str, default="{name}"
        What to search for; ``{name}`` stands for the name of the class.
    rules : FetchRules, default=FetchRules()

    Examples
    --------
    >>> from ltlearn.curation import FetchRules, OpenverseSearch, WebSource
    >>> rules = FetchRules(user_agent="my-study/1 (mailto:me@example.org)", delay=2.0)
    >>> source = WebSource(OpenverseSearch(rules=rules), images_per_class=30, rules=rules)
    >>> images = list(source.fetch(["sea lion"], "curated"))  # doctest: +SKIP
    """

    def __init__(
        self,
        search: SearchEngine,
        *,
        images_per_class: int = 50,
        results_per_class: int = 150,
        query: str = "{name}",
        rules: FetchRules = DEFAULT_RULES,
    ) -> None:
        if min(images_per_class, results_per_class) < 1:
            raise ValueError(
                "images_per_class and results_per_class must be at least 1; got "
                f"{images_per_class} and {results_per_class}."
            )
        self.search = search
        self.images_per_class = images_per_class
        self.results_per_class = results_per_class
        self.query = query
        self.rules = rules

    def __repr__(self):
        return (
            f"WebSource({self.search!r}, images_per_class={self.images_per_class}, "
            f"results_per_class={self.results_per_class}, query={self.query!r}, "
            f"rules={self.rules!r})"
        )

    def fetch(self, names: Sequence[str], folder: FilePath) -> Iterator[Candidate]:
        """Yield the images found for some classes; fetch those not fetched before.

        Parameters
        ----------
        names : sequence of str
        folder : path-like
            Output folder, where images and journal are kept.

        Yields
        ------
        candidate : Candidate

        Raises
        ------
        FetchError
            When the search engine cannot be reached. Images that cannot be fetched raise nothing:
            they are candidates with a ``problem``.
        """
        from ltlearn.curation._fetch import Fetcher

        fetcher = Fetcher(self.rules)
        folder = Path(folder)
        journal = Journal(folder / "journal.jsonl")
        searches = {_search_key(e): e["results"] for e in journal.entries if e["event"] == "search"}
        outcomes = {e["url"]: e for e in journal.entries if e["event"] != "search"}
        for name in names:
            images = 0
            for result in self._find(name, searches, journal):
                outcome = outcomes.get(result.url)
                if outcome is None or not _is_complete(outcome, folder):
                    outcome = self._fetch_image(result.url, fetcher, folder)
                    outcomes[result.url] = outcome
                    journal.append(**outcome)
                yield _candidate(name, result, outcome, folder)
                images += outcome["event"] == "fetched"
                if images == self.images_per_class:
                    break

    def _find(self, name, searches, journal):
        entry = {
            "event": "search",
            "engine": type(self.search).__name__,
            "query": self.query.format(name=name.replace("_", " ")),
            "n": self.results_per_class,
        }
        key = _search_key(entry)
        if key not in searches:
            found = self.search.search(entry["query"], entry["n"])
            results = [{k: plain_text(v) for k, v in vars(result).items()} for result in found]
            by_url = {result["url"]: result for result in results if result["url"]}
            searches[key] = list(by_url.values())
            journal.append(**entry, results=searches[key], time=now())
        return [SearchResult(**result) for result in searches[key]]

    def _fetch_image(self, url, fetcher, folder):
        """Fetch one URL and keep what is an image: an entry for the journal."""
        try:
            data, retrieved = fetcher.get(url, accept="image/", robots=True)
            extension = check_image(data, self.rules.max_pixels)
        except FetchError as error:
            event = "refused" if error.permanent else "failed"
            return {"event": event, "url": url, "reason": str(error), "time": now()}
        except Exception as error:  # no server may end the run
            reason = without_addresses(plain_text(f"{type(error).__name__}: {error}"))
            return {"event": "failed", "url": url, "reason": reason, "time": now()}
        digest = checksum(data)
        file = Path("images", digest[:2], digest + extension)
        write_atomically(folder / file, data)
        return {
            "event": "fetched",
            "url": url,
            "file": file.as_posix(),
            "checksum": digest,
            "time": retrieved,
        }


def check_image(data, max_pixels):
    """Make sure that bytes from the network are an image.

    Parameters
    ----------
    data : bytes
    max_pixels : int
        Limit of width times height, checked before anything is decompressed.

    Returns
    -------
    extension : str
        File name extension of the format found.

    Raises
    ------
    FetchError
        Where they are not.
    """
    from PIL import Image

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(data), formats=FORMATS) as image:
                pixels = image.width * image.height
                extension = EXTENSIONS[image.format]
        if pixels > max_pixels:
            raise FetchError(f"{pixels} pixels, more than {max_pixels}", permanent=True)
        decode_image(data, "fetched")
    except FetchError:
        raise
    except BadImageError as error:
        raise FetchError(f"damaged image: {error}", permanent=True) from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise FetchError(f"too many pixels: {error}", permanent=True) from error
    except Exception as error:  # each of Pillow's formats fails in its own way
        message = f"not a JPEG, PNG, WebP or GIF image: {error}"
        raise FetchError(without_addresses(message), permanent=True) from error
    return extension


def _search_key(entry):
    return entry["engine"], entry["query"], entry["n"]


def _is_complete(outcome, folder):
    return outcome["event"] == "refused" or (
        outcome["event"] == "fetched"
        and is_within(folder / outcome["file"], [Path(folder).resolve()])
        and has_checksum(folder / outcome["file"], outcome["checksum"])
    )


def _candidate(name, result, outcome, folder):
    rights = {
        "license": result.license,
        "license_url": result.license_url,
        "creator": result.creator,
        "landing_page": result.landing_page,
    }
    if outcome["event"] != "fetched":
        problem = f"not fetched: {outcome['reason']}"
        return Candidate(name, result.url, None, problem, retrieved=outcome["time"], **rights)
    return Candidate(
        name,
        result.url,
        str(folder / outcome["file"]),
        checksum=outcome["checksum"],
        retrieved=outcome["time"],
        **rights,
    )
