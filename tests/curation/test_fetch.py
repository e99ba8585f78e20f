"""Fetching under the rules, against servers on loopback; no other address is ever contacted."""

import gzip
import ipaddress
import socket

import pytest

from ltlearn.curation import FetchRules
from ltlearn.curation import _fetch as fetch_module
from ltlearn.curation._fetch import Fetcher, is_public
from ltlearn.exceptions import FetchError

ALLOWED = ("127.0.0.1/32", "::1/128")


def fetcher(**options):
    settings = {"allow_networks": ALLOWED, "delay": 0.0, "timeout": 5.0, **options}
    return Fetcher(FetchRules(**settings))


def get(url, *, robots=False, accept="image/", **options):
    return fetcher(**options).get(url, accept=accept, robots=robots)[0]


def refusal(url, **options):
    with pytest.raises(FetchError) as error:
        get(url, **options)
    assert error.value.permanent, error.value
    return str(error.value)


def failure(url, **options):
    with pytest.raises(FetchError) as error:
        get(url, **options)
    assert not error.value.permanent, error.value
    return str(error.value)


@pytest.mark.parametrize(
    "address",
    [
        "0.0.0.0",
        "10.0.0.1",
        "100.64.0.1",
        "127.0.0.1",
        "127.255.255.254",
        "169.254.169.254",
        "172.16.0.1",
        "192.0.0.1",
        "192.168.1.1",
        "198.18.0.1",
        "224.0.0.1",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::7f00:1",
        "::ffff:127.0.0.1",
        "::ffff:10.0.0.1",
        "64:ff9b::7f00:1",
        "64:ff9b::a00:1",
        "64:ff9b:1::1",
        "2001:db8::1",
        "2002:7f00:1::",
        "fc00::1",
        "fe80::1",
        "fec0::1",
        "ff02::1",
    ],
)
def test_addresses_that_are_not_public(address):
    assert not is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize(
    "address", ["1.1.1.1", "93.184.215.14", "2606:4700::1111", "::ffff:1.1.1.1", "64:ff9b::101:101"]
)
def test_public_addresses(address):
    assert is_public(ipaddress.ip_address(address))


def test_content_and_request_headers(serve):
    server = serve()
    seen = {}

    def route(handler):
        seen.update(handler.headers)
        server.answer(handler, 200, b"data", {"Content-Type": "image/png"})

    server.routes["/a%20b.png"] = route
    assert get(f"{server.url}/a b.png?x=1", user_agent="tester/2 (me@example.org)") == b"data"
    assert seen["User-Agent"] == "tester/2 (me@example.org)"
    assert seen["Accept-Encoding"] == "identity"
    assert seen["Host"] == f"127.0.0.1:{server.port}"
    assert "Cookie" not in seen


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "127.1", "2130706433", "0x7f000001"])
def test_loopback_is_refused_unless_allowed(serve, host):
    server = serve()
    server.routes["/"] = server.fixed(b"data")
    reason = refusal(f"http://{host}:{server.port}/", allow_networks=())
    assert "not public" in reason
    assert server.hits == []


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirect_to_a_forbidden_address(serve, status):
    allowed, forbidden = serve(), serve("127.0.0.2")
    forbidden.routes["/secret"] = forbidden.fixed(b"secret")
    allowed.routes["/"] = allowed.redirect(f"{forbidden.url}/secret", status)
    assert "127.0.0.2, which is not public" in refusal(f"{allowed.url}/")
    assert forbidden.hits == []


def test_redirect_within_the_rules(serve):
    server = serve()
    server.routes["/old/a"] = server.redirect("../new/b", 301)
    server.routes["/new/b"] = server.redirect(f"//127.0.0.1:{server.port}/c", 307)
    server.routes["/c"] = server.fixed(b"data")
    assert get(f"{server.url}/old/a") == b"data"


@pytest.mark.parametrize(
    "location",
    [
        "file:///etc/passwd",
        "ftp://127.0.0.1/x",
        "gopher://127.0.0.1/x",
        "http://user:password@127.0.0.1/",
        "http://127.0.0.1:99999/",
        "http://a:-1/",
        "http://a:0x50/",
        "http://[::1/",
        "data:image/png;base64,AAAA",
    ],
)
def test_redirect_to_what_is_no_plain_web_address(serve, location):
    server = serve()
    server.routes["/"] = server.redirect(location)
    refusal(f"{server.url}/")
    assert set(server.hits) == {"/"}


@pytest.mark.parametrize("location", ["/loop", ""])
def test_endless_redirects(serve, location):
    server = serve()
    server.routes["/loop"] = server.redirect(location)
    assert "more than 3 redirects" in refusal(f"{server.url}/loop", max_redirects=3)
    assert len(server.hits) == 4


@pytest.mark.parametrize(
    "url", ["file:///etc/passwd", "ftp://127.0.0.1/", "not a url", "", "http://"]
)
def test_other_schemes_are_refused(url):
    refusal(url)


@pytest.mark.parametrize("others", [["127.0.0.2"], ["10.0.0.1", "127.0.0.1"]])
def test_every_address_of_a_host_must_be_allowed(serve, monkeypatch, others):
    server = serve()
    answers = [
        (socket.AF_INET, socket.SOCK_STREAM, 6, "", (ip, server.port))
        for ip in ["127.0.0.1", *others]
    ]
    monkeypatch.setattr(fetch_module.socket, "getaddrinfo", lambda *args, **kwargs: answers)
    assert "not public" in refusal(f"http://some.host:{server.port}/")
    assert server.hits == []


def test_a_second_dns_answer_is_not_asked_for(serve, monkeypatch):
    """DNS rebinding: the checked address is the one that is connected to."""
    allowed, forbidden = serve(), serve("127.0.0.2")
    allowed.routes["/"] = allowed.fixed(b"data")
    real, lookups = socket.getaddrinfo, []

    def rebinding(host, port, *args, **kwargs):
        if host != "rebinding.test":
            return real(host, port, *args, **kwargs)
        lookups.append(host)
        return real("127.0.0.1" if len(lookups) == 1 else "127.0.0.2", port, *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", rebinding)
    assert get(f"http://rebinding.test:{allowed.port}/") == b"data"
    assert len(lookups) == 1
    assert forbidden.hits == []


def test_environment_proxies_are_not_used(serve, monkeypatch):
    server, proxy = serve(), serve()
    server.routes["/"] = server.fixed(b"data")
    monkeypatch.setenv("http_proxy", proxy.url)
    monkeypatch.setenv("ALL_PROXY", proxy.url)
    assert get(f"{server.url}/") == b"data"
    assert proxy.hits == []


def test_unresolvable_host_is_a_passing_failure(monkeypatch):
    def fail(*args, **kwargs):
        raise socket.gaierror("no such host")

    monkeypatch.setattr(fetch_module.socket, "getaddrinfo", fail)
    assert "cannot be resolved" in failure("http://nowhere.test/", attempts=1)


def test_announced_size_over_the_limit(serve):
    server = serve()
    server.routes["/"] = server.fixed(b"x" * 1001)
    assert "1001 bytes" in refusal(f"{server.url}/", max_bytes=1000)
    assert get(f"{server.url}/", max_bytes=1001) == b"x" * 1001


@pytest.mark.parametrize("chunked", [True, False])
def test_endless_response(serve, chunked):
    server = serve()
    sent = []

    def route(handler):
        handler.send_response(200)
        handler.send_header("Content-Type", "image/png")
        if chunked:
            handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        piece = b"x" * 10_000
        for _ in range(10_000):
            handler.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece) if chunked else piece)
            sent.append(len(piece))

    server.routes["/"] = route
    assert "more than 200000 bytes" in refusal(f"{server.url}/", max_bytes=200_000)
    server.close()
    assert sum(sent) < 50_000_000  # what fits into socket buffers, not the 100 MB


@pytest.mark.parametrize("where", ["headers", "body"])
def test_dripping_response(serve, where):
    """Every byte arrives in time, the whole never does."""
    server = serve()

    def route(handler):
        if where == "headers":
            handler.wfile.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
        else:
            handler.send_response(200)
            handler.send_header("Content-Type", "image/png")
            handler.end_headers()
        for _ in range(200):
            if server.stopping.wait(0.05):
                return
            handler.wfile.write(b"x")

    server.routes["/"] = route
    assert "Timeout" in failure(f"{server.url}/", timeout=0.4, attempts=1)


def test_silent_server(serve):
    server = serve()
    server.routes["/"] = lambda handler: server.stopping.wait(10)
    assert "Timeout" in failure(f"{server.url}/", timeout=0.2, attempts=1)


@pytest.mark.parametrize("content_type", ["text/html", "application/octet-stream", "", "imagepng"])
def test_wrong_content_type(serve, content_type):
    server = serve()
    server.routes["/"] = server.fixed(b"data", content_type)
    assert "content type" in refusal(f"{server.url}/")


def test_compressed_transfer_is_refused(serve):
    server = serve()
    bomb = gzip.compress(b"\x00" * 1_000_000)
    server.routes["/"] = server.fixed(bomb, headers={"Content-Encoding": "gzip"})
    assert "compressed" in refusal(f"{server.url}/")


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410])
def test_lasting_status_is_asked_once(serve, status):
    server = serve()
    server.routes["/"] = server.fixed(b"", status=status)
    assert str(status) in refusal(f"{server.url}/")
    assert len(server.hits) == 1


@pytest.mark.parametrize("status", [429, 500, 503])
def test_passing_status_is_asked_again(serve, status):
    server = serve()
    statuses = [status, status, 200]
    server.routes["/"] = lambda handler: server.answer(
        handler, statuses.pop(0), b"data", {"Content-Type": "image/png", "Retry-After": "0"}
    )
    assert get(f"{server.url}/", attempts=3) == b"data"
    assert len(server.hits) == 3


def test_broken_connection_is_tried_again(serve):
    server = serve()
    calls = []

    def route(handler):
        calls.append(1)
        if len(calls) == 1:
            handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n")
        else:
            server.answer(handler, 200, b"data", {"Content-Type": "image/png"})

    server.routes["/"] = route
    assert get(f"{server.url}/") == b"data"


def test_shortened_body_is_a_failure(serve):
    server = serve()
    server.routes["/"] = server.fixed(b"half", headers={"Content-Length": "100"})
    failure(f"{server.url}/", attempts=2)
    assert len(server.hits) == 2


def test_a_failing_host_is_given_up(serve):
    server = serve()
    server.routes["/bad"] = server.fixed(b"", status=503)
    server.routes["/good"] = server.fixed(b"data")
    client = fetcher(attempts=2)

    def failing(times):
        for _ in range(times):
            with pytest.raises(FetchError):
                client.get(f"{server.url}/bad", accept="image/", robots=False)

    failing(2)
    client.get(f"{server.url}/good", accept="image/", robots=False)
    failing(5)
    assert server.hits.count("/bad") == 2 * 2 + 3 * 2
    with pytest.raises(FetchError, match=r"3 URLs of .* failed in a row"):
        client.get(f"{server.url}/good", accept="image/", robots=False)


class FakeTime:
    def __init__(self):
        self.now = 1000.0
        self.slept = []

    def monotonic(self):
        return self.now

    def sleep(self, seconds):
        self.slept.append(seconds)
        self.now += seconds


@pytest.fixture
def clock(monkeypatch):
    clock = FakeTime()
    monkeypatch.setattr(fetch_module, "time", clock)
    return clock


def test_polite_rate_per_host(serve, clock):
    first, second = serve(), serve("127.0.0.2")
    starts = {first: [], second: []}
    for server in starts:

        def route(handler, server=server):
            starts[server].append(clock.now)
            server.answer(handler, 200, b"data", {"Content-Type": "image/png"})

        server.routes["/"] = route
    client = fetcher(delay=2.0, allow_networks=("127.0.0.0/8",))
    for server in (first, second, first, second, first):
        client.get(f"{server.url}/", accept="image/", robots=False)
    assert starts[first] == [1000.0, 1002.0, 1004.0]
    assert starts[second] == [1000.0, 1002.0]


def test_retry_after_is_waited_for(serve, clock):
    server = serve()
    starts = []

    def route(handler):
        starts.append(clock.now)
        status = 429 if len(starts) == 1 else 200
        server.answer(handler, status, b"data", {"Content-Type": "image/png", "Retry-After": "17"})

    server.routes["/"] = route
    assert get(f"{server.url}/") == b"data"
    assert starts == [1000.0, 1017.0]


def test_a_host_that_asks_for_too_long_a_wait_is_left_out(serve, clock):
    server = serve()
    server.routes["/"] = server.fixed(b"", status=503, headers={"Retry-After": "86400"})
    assert "asks for 86400 seconds" in failure(f"{server.url}/")
    assert len(server.hits) == 1
    assert sum(clock.slept) < 60


@pytest.mark.parametrize("wait", ["9" * 400, "9" * 5000])
@pytest.mark.parametrize("path", ["/", "/robots.txt"])
def test_a_host_that_asks_for_an_endless_wait(serve, clock, wait, path):
    server = serve()
    server.routes[path] = server.fixed(b"", status=429, headers={"Retry-After": wait})
    assert "asks for inf seconds" in failure(f"{server.url}/", robots=True)
    assert server.hits.count(path) == 1


@pytest.mark.parametrize(
    "wait", ["²", "٣", "-1", "soon", "", "1e9", "Wed, 21 Oct 2065 07:28:00 GMT"]
)
def test_a_wait_that_is_no_number_is_not_waited_for(serve, wait):
    server = serve()

    def route(handler):
        handler.send_response(503)
        handler.wfile.write(b"".join(handler._headers_buffer))
        handler._headers_buffer = []
        handler.wfile.write(f"Retry-After: {wait}\r\nContent-Length: 0\r\n\r\n".encode())

    server.routes["/"] = route
    assert "status 503" in failure(f"{server.url}/", attempts=2)
    assert len(server.hits) == 2


def robots(server, text, **options):
    server.routes["/robots.txt"] = server.fixed(text.encode(), "text/plain", **options)


def test_a_byte_order_mark_hides_no_rule(serve):
    server = serve()
    robots(server, "\ufeffUser-agent: *\nDisallow: /")
    server.routes["/"] = server.fixed(b"data")
    assert "forbids" in refusal(f"{server.url}/", robots=True)


def test_robots_forbids(serve):
    server = serve()
    robots(
        server,
        "User-agent: *\nDisallow: /\n\nUser-agent: ltlearn\nDisallow: /private*.png$\nAllow: /\n",
    )
    server.routes["/open.png"] = server.fixed(b"data")
    server.routes["/private1.png"] = server.fixed(b"data")
    client = fetcher()
    assert client.get(f"{server.url}/open.png", accept="image/", robots=True)[0] == b"data"
    with pytest.raises(FetchError, match=r"robots\.txt forbids it"):
        client.get(f"{server.url}/private1.png", accept="image/", robots=True)
    assert server.hits == ["/robots.txt", "/open.png"]
    assert "forbids" in refusal(f"{server.url}/open.png", robots=True, user_agent="other/1")


def test_robots_is_asked_where_a_redirect_leads(serve):
    first, second = serve(), serve("127.0.0.2")
    first.routes["/"] = first.redirect(f"{second.url}/x")
    robots(second, "User-agent: *\nDisallow: /x")
    reason = refusal(f"{first.url}/", robots=True, allow_networks=("127.0.0.0/8",))
    assert reason == "robots.txt forbids it"
    assert second.hits == ["/robots.txt"]


@pytest.mark.parametrize("status", [401, 404])
def test_missing_robots_forbids_nothing(serve, status):
    server = serve()
    robots(server, "User-agent: *\nDisallow: /", status=status)
    server.routes["/"] = server.fixed(b"data")
    assert get(f"{server.url}/", robots=True) == b"data"


@pytest.mark.parametrize("status", [429, 500, 503])
def test_unreachable_robots_forbids_everything_for_now(serve, status):
    server = serve()
    robots(server, "", status=status)
    server.routes["/"] = server.fixed(b"data")
    assert "robots.txt: status" in failure(f"{server.url}/", robots=True)
    assert "/" not in server.hits


def test_robots_redirect_to_a_forbidden_address(serve):
    server, forbidden = serve(), serve("127.0.0.2")
    server.routes["/robots.txt"] = server.redirect(f"{forbidden.url}/robots.txt")
    server.routes["/"] = server.fixed(b"data")
    refusal(f"{server.url}/", robots=True)
    assert (server.hits, forbidden.hits) == (["/robots.txt"], [])


def test_endless_robots_is_read_in_part(serve):
    server = serve()
    robots(server, "User-agent: *\nDisallow: /x\n" + "# filler\n" * 100_000)
    server.routes["/x"] = server.routes["/y"] = server.fixed(b"data")
    assert "forbids" in refusal(f"{server.url}/x", robots=True)
    assert get(f"{server.url}/y", robots=True) == b"data"


def test_crawl_delay(serve, clock):
    server = serve()
    robots(server, "User-agent: *\nCrawl-delay: 5")
    starts = []

    def route(handler):
        starts.append(clock.now)
        server.answer(handler, 200, b"data", {"Content-Type": "image/png"})

    server.routes["/"] = route
    client = fetcher(delay=1.0)
    for _ in range(2):
        client.get(f"{server.url}/", accept="image/", robots=True)
    assert starts == [1001.0, 1006.0]


def test_robots_can_be_turned_off_by_the_rules(serve):
    server = serve()
    robots(server, "User-agent: *\nDisallow: /")
    server.routes["/"] = server.fixed(b"data")
    client = Fetcher(FetchRules(allow_networks=ALLOWED, robots=False, delay=0))
    assert client.get(f"{server.url}/", accept="image/", robots=True)[0] == b"data"
    assert server.hits == ["/"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"attempts": 0}, "attempts must be at least 1; got 0"),
        ({"max_redirects": -1}, "max_redirects must be at least 0"),
        ({"max_bytes": 0}, "max_bytes must be at least 1"),
        ({"delay": float("nan")}, "delay must be at least 0; got nan"),
        ({"timeout": 0}, "timeout must be positive"),
        ({"user_agent": "josé/1"}, "user_agent must be printable ASCII"),
        ({"user_agent": "me/1\nX: y"}, "user_agent must be printable ASCII"),
        ({"user_agent": ""}, "user_agent must be printable ASCII"),
        ({"allow_networks": "127.0.0.0/8"}, "sequence of networks; got the text '127.0.0.0/8'"),
        ({"allow_networks": ["127.0.0.1/8"]}, "'127.0.0.1/8': .*host bits"),
    ],
)
def test_invalid_rules(options, message):
    with pytest.raises(ValueError, match=message):
        FetchRules(**options)
