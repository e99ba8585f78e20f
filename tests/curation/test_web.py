"""WebSource and OpenverseSearch against servers on loopback."""

import hashlib
import io
import json
import os
import signal
import threading
import zlib
from functools import partial
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from PIL import Image

from ltlearn.curation import FetchRules, OpenverseSearch, SearchResult, WebSource
from ltlearn.curation import _web as web_module
from ltlearn.curation._fetch import Fetcher
from ltlearn.curation._web import check_image
from ltlearn.exceptions import FetchError

RULES = FetchRules(allow_networks=("127.0.0.1/32",), delay=0, timeout=5, attempts=2)


class ListSearch:
    """Search engine that always finds the same addresses."""

    def __init__(self, urls):
        self.urls = urls
        self.queries = []

    def search(self, query, n):
        self.queries.append(query)
        return [SearchResult(url, license="cc0", creator="Ann") for url in self.urls[:n]]


def stored(folder):
    return {path.relative_to(folder).as_posix() for path in (folder / "images").rglob("*.*")}


@pytest.fixture
def bank(serve, pictures):
    """Server with six good images, and their contents by path."""
    server = serve()
    contents = {}
    for i in range(6):
        contents[f"/{i}.png"] = pictures.encode(pictures.make((40 * i, 100, 100), seed=i))
        server.routes[f"/{i}.png"] = server.fixed(contents[f"/{i}.png"])
    return server, contents


def source_of(server, paths, **options):
    search = ListSearch([path if "://" in path else server.url + path for path in paths])
    return WebSource(search, **{"rules": RULES, **options})


def test_good_images_are_kept_under_their_checksum(bank, tmp_path):
    server, contents = bank
    source = source_of(server, sorted(contents))
    candidates = list(source.fetch(["sea_lion"], tmp_path))
    assert source.search.queries == ["sea lion"]
    assert [c.source for c in candidates] == [server.url + path for path in sorted(contents)]
    for candidate, content in zip(candidates, contents.values(), strict=True):
        digest = hashlib.sha256(content).hexdigest()
        assert (candidate.name, candidate.problem, candidate.checksum) == ("sea_lion", "", digest)
        assert (candidate.license, candidate.creator) == ("cc0", "Ann")
        assert candidate.retrieved.endswith("+00:00")
        assert Path(candidate.item) == tmp_path / "images" / digest[:2] / f"{digest}.png"
        assert Path(candidate.item).read_bytes() == content


def test_a_second_run_asks_for_nothing(bank, tmp_path):
    server, contents = bank
    first = list(source_of(server, sorted(contents)).fetch(["a"], tmp_path))
    hits = list(server.hits)
    again = source_of(server, sorted(contents))
    assert list(again.fetch(["a"], tmp_path)) == first
    assert server.hits == hits
    assert again.search.queries == []


def test_one_address_for_two_classes_is_fetched_once(bank, tmp_path):
    server, _ = bank
    candidates = list(source_of(server, ["/1.png"]).fetch(["a", "b"], tmp_path))
    assert [c.name for c in candidates] == ["a", "b"]
    assert candidates[0].item == candidates[1].item
    assert server.hits.count("/1.png") == 1


def test_number_of_images_and_results(bank, tmp_path):
    server, contents = bank
    paths = ["/missing.png", *sorted(contents)]
    source = source_of(server, paths, images_per_class=2, query="photo of {name}")
    candidates = list(source.fetch(["a"], tmp_path))
    assert [bool(c.problem) for c in candidates] == [True, False, False]
    assert source.search.queries == ["photo of a"]
    assert "/2.png" not in server.hits
    source = source_of(server, paths, results_per_class=2)
    assert len(list(source.fetch(["a"], tmp_path / "other"))) == 2


@pytest.mark.parametrize("option", ["images_per_class", "results_per_class"])
@pytest.mark.parametrize("number", [0, -1])
def test_numbers_are_positive(option, number):
    with pytest.raises(ValueError, match=option):
        WebSource(ListSearch([]), **{option: number})


def test_an_address_found_twice_is_one_candidate(bank, tmp_path):
    server, _ = bank
    candidates = list(source_of(server, ["/1.png", "/2.png", "/1.png"]).fetch(["a"], tmp_path))
    assert [c.source for c in candidates] == [f"{server.url}/1.png", f"{server.url}/2.png"]


def bomb(width, height):
    """PNG of a few kilobytes that unfolds to width x height pixels."""

    def chunk(kind, data):
        checksum = zlib.crc32(kind + data).to_bytes(4, "big")
        return len(data).to_bytes(4, "big") + kind + data + checksum

    header = width.to_bytes(4, "big") + height.to_bytes(4, "big") + bytes([8, 0, 0, 0, 0])
    body = zlib.compress(b"\x00" * 1_000_000, 9)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", body) + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize("side", [1500, 10_000, 60_000])
def test_decompression_bombs_are_not_decoded(serve, tmp_path, monkeypatch, side):
    """Below Pillow's limits, where it warns, and where it refuses."""
    monkeypatch.setattr(web_module, "decode_image", None)
    server = serve()
    server.routes["/"] = server.fixed(bomb(side, side))
    rules = FetchRules(allow_networks=RULES.allow_networks, delay=0, max_pixels=1_000_000)
    [candidate] = source_of(server, ["/"], rules=rules).fetch(["a"], tmp_path)
    assert "pixels" in candidate.problem
    assert stored(tmp_path) == set()


def test_pixel_limit_is_inclusive(pictures):
    data = pictures.encode(pictures.make((9, 9, 9), size=(10, 20)))
    assert check_image(data, 200) == ".png"
    with pytest.raises(FetchError, match="200 pixels, more than 199"):
        check_image(data, 199)


@pytest.mark.parametrize(
    ("image_format", "extension"),
    [("JPEG", ".jpg"), ("PNG", ".png"), ("WEBP", ".webp"), ("GIF", ".gif")],
)
def test_formats(pictures, image_format, extension):
    assert check_image(pictures.encode(pictures.make((9, 9, 9)), image_format), 10**6) == extension


def test_several_images_in_one_jpeg(pictures):
    """MPO, as many phones write it."""
    image = Image.fromarray(pictures.make((9, 9, 9)))
    data = io.BytesIO()
    image.save(data, "MPO", save_all=True, append_images=[image.copy()])
    assert Image.open(data).format == "MPO"
    assert check_image(data.getvalue(), 10**6) == ".jpg"


def not_images(pictures):
    good = pictures.encode(pictures.make((9, 9, 9), size=(64, 64)))
    tiff = io.BytesIO()
    Image.new("RGB", (9, 9)).save(tiff, "TIFF")
    return {
        "html": b"<html><script>alert(1)</script></html>",
        "svg": b'<svg xmlns="http://www.w3.org/2000/svg"/>',
        "empty": b"",
        "truncated": good[: len(good) // 2],
        "header": good[:33],
        "damaged": good[:60] + bytes(len(good) - 60),
        "tiff": tiff.getvalue(),
        "python": b"import os",
    }


@pytest.mark.parametrize(
    "kind", ["html", "svg", "empty", "truncated", "header", "damaged", "tiff", "python"]
)
def test_what_only_claims_to_be_an_image(serve, tmp_path, pictures, kind):
    server = serve()
    server.routes["/x.png"] = server.fixed(not_images(pictures)[kind])
    [candidate] = source_of(server, ["/x.png"]).fetch(["a"], tmp_path)
    assert candidate.item is None
    assert "image" in candidate.problem
    assert stored(tmp_path) == set()


def test_names_from_the_server_are_not_used(bank, tmp_path, pictures):
    server, _ = bank
    content = pictures.encode(pictures.make((9, 9, 9)))
    server.routes["/..%2f..%2fevil.exe"] = server.fixed(
        content,
        headers={"Content-Disposition": 'attachment; filename="../../evil.exe"'},
    )
    list(source_of(server, ["/..%2f..%2fevil.exe"]).fetch(["../../evil"], tmp_path / "out"))
    digest = hashlib.sha256(content).hexdigest()
    assert stored(tmp_path / "out") == {f"images/{digest[:2]}/{digest}.png"}
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_hostile_and_good_addresses_together(bank, serve, tmp_path):
    """Nothing outside the rules is fetched, nothing is fetched twice, nothing good is lost."""
    server, contents = bank
    forbidden = serve("127.0.0.2")
    forbidden.routes["/secret.png"] = forbidden.fixed(contents["/0.png"])
    server.routes["/robots.txt"] = server.fixed(b"User-agent: *\nDisallow: /private", "text/plain")
    server.routes["/private.png"] = server.fixed(contents["/0.png"])
    server.routes["/away.png"] = server.redirect(f"{forbidden.url}/secret.png")
    server.routes["/file.png"] = server.redirect("file:///etc/passwd")
    server.routes["/page.png"] = server.fixed(b"<html>", "text/html")
    server.routes["/huge.png"] = server.fixed(b"x" * 200_000)
    server.routes["/bomb.png"] = server.fixed(bomb(30_000, 30_000))
    server.routes["/here.png"] = server.redirect("/5.png")
    hostile = [
        f"{forbidden.url}/secret.png",
        "file:///etc/passwd",
        "/private.png",
        "/away.png",
        "/file.png",
        "/page.png",
        "/huge.png",
        "/bomb.png",
        "/gone.png",
    ]
    good = ["/0.png", "/1.png", "/2.png", "/3.png", "/here.png"]
    mixed = [path for pair in zip(hostile, good, strict=False) for path in pair]
    mixed += hostile[len(good) :]
    rules = FetchRules(allow_networks=RULES.allow_networks, delay=0, max_bytes=100_000, attempts=2)
    for _ in range(2):
        candidates = list(source_of(server, mixed, rules=rules).fetch(["a"], tmp_path))
        fetched = [c.source.removeprefix(server.url) for c in candidates if not c.problem]
        assert fetched == good
        assert all(c.problem.startswith("not fetched: ") for c in candidates if c.item is None)
        assert forbidden.hits == []
        assert "/private.png" not in server.hits
        assert len(server.hits) == len(set(server.hits)) + server.hits.count("/robots.txt") - 1
        assert len(stored(tmp_path)) == len(good)


def test_search_results_with_odd_fields(bank, tmp_path):
    """No result ends the run or is lost that has an address."""
    server, contents = bank

    class Odd:
        def search(self, query, n):
            yield SearchResult(None)
            yield SearchResult("")
            yield SearchResult(f"{server.url}/\ud800.png")
            yield SearchResult(["http://a/"])
            yield SearchResult(f"{server.url}/1.png", creator="A\udc80nn", license=None)
            yield SearchResult(f"{server.url}/2.png", creator=7, landing_page={"a": 1})

    rules = FetchRules(allow_networks=RULES.allow_networks, delay=0, attempts=1)
    for _ in range(2):
        candidates = list(WebSource(Odd(), rules=rules).fetch(["a"], tmp_path))
        *problems, first, second = candidates
        assert all(candidate.problem for candidate in problems)
        assert (first.creator, first.license) == ("A\\udc80nn", "")
        assert (second.creator, second.landing_page) == ("7", "{'a': 1}")
        assert Path(second.item).read_bytes() == contents["/2.png"]


def test_an_unexpected_error_is_a_passing_failure_of_one_address(bank, tmp_path, monkeypatch):
    server, contents = bank
    get = Fetcher.get

    def odd(self, url, **options):
        if url.endswith("/1.png"):
            raise OverflowError("too odd")
        return get(self, url, **options)

    paths = ["/0.png", "/1.png", "/2.png"]
    with monkeypatch.context() as patch:
        patch.setattr(Fetcher, "get", odd)
        problems = [c.problem for c in source_of(server, paths).fetch(["a"], tmp_path)]
    assert problems == ["", "not fetched: OverflowError: too odd", ""]
    candidates = list(source_of(server, paths).fetch(["a"], tmp_path))
    assert [Path(c.item).read_bytes() for c in candidates] == [contents[path] for path in paths]


def test_passing_failures_are_asked_again_in_the_next_run(bank, tmp_path):
    server, contents = bank
    good = server.routes["/1.png"]
    server.routes["/1.png"] = server.fixed(b"", status=503)
    paths = ["/0.png", "/1.png", "/gone.png"]
    problems = [c.problem for c in source_of(server, paths).fetch(["a"], tmp_path)]
    assert problems == ["", "not fetched: status 503", "not fetched: status 404"]
    server.routes["/1.png"] = good
    candidates = list(source_of(server, paths).fetch(["a"], tmp_path))
    assert [c.problem for c in candidates] == ["", "", "not fetched: status 404"]
    assert Path(candidates[1].item).read_bytes() == contents["/1.png"]
    assert [server.hits.count(path) for path in paths] == [1, 3, 1]


def test_a_deleted_file_is_fetched_again(bank, tmp_path):
    server, _ = bank
    [candidate] = source_of(server, ["/1.png"]).fetch(["a"], tmp_path)
    os.unlink(candidate.item)
    [again] = source_of(server, ["/1.png"]).fetch(["a"], tmp_path)
    assert again.item == candidate.item
    assert Path(again.item).exists()


@pytest.mark.parametrize("stop_after", range(1, 6))
def test_interrupted_between_images(bank, tmp_path, stop_after):
    server, contents = bank
    running = source_of(server, sorted(contents)).fetch(["a"], tmp_path)
    for _ in range(stop_after):
        next(running)
    running.close()
    resumed = source_of(server, sorted(contents))
    candidates = list(resumed.fetch(["a"], tmp_path))
    assert resumed.search.queries == []
    assert [c.problem for c in candidates] == [""] * 6
    assert all(server.hits.count(path) == 1 for path in contents)


class Killed(BaseException):
    """Stands for the end of the process: nothing of it runs any more."""


def test_killed_at_any_step_of_writing(bank, tmp_path, monkeypatch):
    """Killed at the first, second, ... write to the disk, then resumed."""
    server, contents = bank
    paths = ["/0.png", "/1.png", "/2.png"]
    expected = [contents[path] for path in paths]
    real = {"fsync": os.fsync, "replace": os.replace}
    step = 0
    while True:
        folder = tmp_path / str(step)
        steps = []

        def dying(name, *args, steps=steps, step=step):
            steps.append(name)
            if len(steps) > step:
                raise Killed
            real[name](*args)

        def dead(*args, **kwargs):
            raise Killed

        server.hits.clear()
        with monkeypatch.context() as patch:
            for name in real:
                patch.setattr(os, name, partial(dying, name))
            patch.setattr(Path, "unlink", dead)
            try:
                list(source_of(server, paths).fetch(["a"], folder))
                break
            except Killed:
                before = list(server.hits)
        candidates = list(source_of(server, paths).fetch(["a"], folder))
        assert [Path(c.item).read_bytes() for c in candidates] == expected
        assert len([path for path in stored(folder) if "/." not in path]) == 3
        again = [path for path in paths if server.hits.count(path) > 1]
        assert again in ([], [path for path in before if path in paths][-1:])
        step += 1
    assert step == 10  # the search; image, its name, and the journal for each of three


@pytest.fixture
def interruptible():
    """Interrupts raise KeyboardInterrupt, also in a process that was started to ignore them."""
    previous = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, previous)


@pytest.mark.usefixtures("interruptible")
def test_interrupted_in_the_middle_of_a_download(bank, tmp_path):
    server, contents = bank
    good = server.routes["/2.png"]

    def interrupt(handler):
        handler.send_response(200)
        handler.send_header("Content-Type", "image/png")
        handler.send_header("Content-Length", str(len(contents["/2.png"])))
        handler.end_headers()
        handler.wfile.write(contents["/2.png"][:100])
        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
        server.stopping.wait(10)

    server.routes["/2.png"] = interrupt
    with pytest.raises(KeyboardInterrupt):
        list(source_of(server, sorted(contents)).fetch(["a"], tmp_path))
    assert len(stored(tmp_path)) == 2

    server.routes["/2.png"] = good
    resumed = source_of(server, sorted(contents))
    candidates = list(resumed.fetch(["a"], tmp_path))
    assert resumed.search.queries == []
    assert [Path(c.item).read_bytes() for c in candidates] == list(contents.values())
    assert [server.hits.count(path) for path in sorted(contents)] == [1, 1, 2, 1, 1, 1]


def openverse(server, pages, path="/v1/images/"):
    """Make a server answer like Openverse, with pages of results."""

    def route(handler):
        page = int(parse_qs(urlsplit(handler.path).query)["page"][0])
        results = [
            {
                "id": f"{page}-{i}",
                "title": "A picture",
                "url": f"{server.url}/{page}-{i}.png",
                "license": "by-sa",
                "license_version": "4.0",
                "license_url": "https://creativecommons.org/licenses/by-sa/4.0/",
                "creator": None if i else "Ann",
                "foreign_landing_url": "https://example.org/",
                "width": 24,
                "height": 24,
            }
            for i in range(pages[page - 1])
        ]
        body = {
            "result_count": sum(pages),
            "page_count": len(pages),
            "page_size": 20,
            "page": page,
            "results": results,
        }
        server.answer(handler, 200, json.dumps(body).encode(), {"Content-Type": "application/json"})

    server.routes[path] = route


def test_openverse_results_and_pages(serve):
    server = serve()
    openverse(server, [20, 20, 5])
    search = OpenverseSearch(license="cc0,by", base_url=f"{server.url}/v1/images/", rules=RULES)
    results = list(search.search("sea lion", 30))
    assert len(results) == 30
    assert results[0] == SearchResult(
        f"{server.url}/1-0.png",
        license="by-sa 4.0",
        license_url="https://creativecommons.org/licenses/by-sa/4.0/",
        creator="Ann",
        landing_page="https://example.org/",
    )
    assert results[1].creator == ""
    queries = [parse_qs(urlsplit(path).query) for path in server.hits]
    assert [query["page"] for query in queries] == [["1"], ["2"]]
    assert queries[0]["q"] == ["sea lion"]
    assert queries[0]["license"] == ["cc0,by"]
    assert queries[0]["page_size"] == ["20"]
    assert len(list(search.search("sea lion", 1000))) == 45


def test_openverse_without_results(serve):
    server = serve()
    openverse(server, [0])
    search = OpenverseSearch(base_url=f"{server.url}/v1/images/", rules=RULES)
    assert list(search.search("nothing", 10)) == []


@pytest.mark.parametrize(
    "body",
    [
        b"[]",
        b"{}",
        b"oops",
        b'{"page_count": 1, "results": [{}]}',
        b'{"page_count": 1e400, "results": []}',
        b"[" * 100_000,
    ],
    ids=range(6),
)
def test_openverse_in_another_format(serve, body):
    server = serve()
    server.routes["/"] = server.fixed(body, "application/json")
    search = OpenverseSearch(base_url=f"{server.url}/", rules=RULES)
    with pytest.raises(FetchError, match="unknown format"):
        list(search.search("sea lion", 10))


def test_web_source_with_openverse(bank, tmp_path):
    server, contents = bank
    openverse(server, [3])
    for i in range(3):
        server.routes[f"/1-{i}.png"] = server.fixed(contents[f"/{i}.png"])
    search = OpenverseSearch(base_url=f"{server.url}/v1/images/", rules=RULES)
    candidates = list(WebSource(search, rules=RULES).fetch(["sea lion"], tmp_path))
    assert [Path(c.item).read_bytes() for c in candidates] == list(contents.values())[:3]
    assert {c.license for c in candidates} == {"by-sa 4.0"}


def test_unreachable_search_is_an_error_and_keeps_what_was_done(bank, tmp_path):
    server, contents = bank

    class Failing(ListSearch):
        def search(self, query, n):
            if query == "b":
                raise FetchError("search is down", permanent=False)
            return super().search(query, n)

    search = Failing([server.url + path for path in sorted(contents)])
    running = WebSource(search, rules=RULES).fetch(["a", "b"], tmp_path)
    with pytest.raises(FetchError, match="search is down"):
        list(running)
    assert len(stored(tmp_path)) == 6
