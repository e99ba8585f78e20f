"""LLMProposer against a loopback server that speaks the chat protocol."""

import io
import json
import warnings

import pytest

from ltlearn.curation import LLMProposer, Target
from ltlearn.exceptions import BudgetExceededError, CurationError, CurationWarning

KEY = "sk-not-to-be-found-anywhere"
TARGETS = [Target("otter", 5, 3), Target("pickup_truck", 50, 2)]
PATH = "/v1/chat/completions"


def completion(content=None, *, refusal=None, finish_reason="stop", tokens=100):
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 0,
        "model": "test",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": content, "refusal": refusal},
                "finish_reason": finish_reason,
            }
        ],
        "usage": {
            "prompt_tokens": tokens - 10,
            "completion_tokens": 10,
            "total_tokens": tokens,
        },
    }


def categories(*names, **options):
    return completion(json.dumps({"categories": names}), **options)


def script(server, *answers):
    """Make the server give one answer after the other: (status, body, headers) or a completion."""
    remaining = list(answers)

    def route(handler):
        status, body, headers = 200, remaining.pop(0), {}
        if isinstance(body, tuple):
            status, body, headers = body
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        server.answer(handler, status, data, {"Content-Type": "application/json", **headers})

    server.routes[PATH] = route


@pytest.fixture
def server(serve, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    return serve()


def proposer(server, **options):
    return LLMProposer("test", base_url=f"{server.url}/v1", timeout=5, **options)


def run(llm, folder, targets=TARGETS):
    return [(p.anchor, p.name) for p in llm.propose(targets, folder)]


def test_success(server, tmp_path):
    script(server, categories("beaver", "mink"), categories("van", tokens=50))
    llm = proposer(server, context="The pictures are small.", request_options={"temperature": 0})
    found = list(llm.propose(TARGETS, tmp_path))
    assert [(p.anchor, p.name) for p in found] == [
        ("otter", "beaver"),
        ("otter", "mink"),
        ("pickup_truck", "van"),
    ]
    assert {p.proposer for p in found} == {"llm:test"}
    assert found[0].prompt_hash == found[1].prompt_hash != found[2].prompt_hash
    assert (llm.usage_.calls, llm.usage_.tokens, llm.usage_.replayed) == (2, 150, 0)

    first, second = (json.loads(body) for body in server.bodies)
    assert first["temperature"] == 0
    schema = first["response_format"]["json_schema"]
    assert schema["strict"] is True
    assert schema["schema"]["required"] == ["categories"]
    system, user = first["messages"]
    assert "otter, pickup truck" in system["content"]
    assert "The pictures are small." in system["content"]
    assert '{"categories": ["viola"' in system["content"]
    assert user["content"] == "Target class: otter\nNumber of categories: 3"
    # The same beginning for every class, which endpoints can cache.
    assert second["messages"][0] == system
    assert "pickup truck" in second["messages"][1]["content"]


def test_replay_needs_neither_server_nor_key(server, tmp_path, monkeypatch):
    script(server, categories("beaver"), categories("van"))
    found = list(proposer(server).propose(TARGETS, tmp_path))
    server.close()
    monkeypatch.delenv("OPENAI_API_KEY")
    again = LLMProposer("test", base_url="http://127.0.0.1:1/v1")
    assert list(again.propose(TARGETS, tmp_path)) == found
    assert (again.usage_.calls, again.usage_.replayed) == (0, 2)


def test_another_request_is_not_replayed(server, tmp_path):
    script(server, categories("beaver"), categories("mink"))
    run(proposer(server), tmp_path, TARGETS[:1])
    assert run(proposer(server), tmp_path, [Target("otter", 5, 4)]) == [("otter", "mink")]


@pytest.mark.parametrize("text", ["", "{", "[]", '{"answer": 1}', '{"answer": {"refusal": ""}}'])
def test_an_unreadable_answer_in_the_cache_is_none(server, tmp_path, text):
    script(server, categories("beaver"), categories("mink"))
    run(proposer(server), tmp_path, TARGETS[:1])
    [file] = (tmp_path / "llm-cache").iterdir()
    file.write_text(text)
    assert proposer(server).dry_run(TARGETS[:1], tmp_path, file=io.StringIO()).calls == 1
    for _ in range(2):
        assert run(proposer(server), tmp_path, TARGETS[:1]) == [("otter", "mink")]
    assert len(server.hits) == 2


def test_the_key_is_written_nowhere(server, tmp_path):
    script(server, categories("beaver"), categories("van"))
    llm = proposer(server)
    run(llm, tmp_path)
    text = "".join(file.read_text() for file in tmp_path.rglob("*") if file.is_file())
    assert "beaver" in text
    assert KEY not in text + repr(llm) + repr(vars(llm))


def test_missing_key_names_the_variable(server, tmp_path, monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY")
    with pytest.raises(CurationError, match="environment variable OPENAI_API_KEY"):
        run(proposer(server), tmp_path)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ('{"categories": ["beav', "not JSON"),
        ("beaver, mink", "not JSON"),
        (None, "not JSON"),
        ('{"names": ["beaver"]}', "not of the schema"),
        ('{"categories": "beaver"}', "not of the schema"),
        ('{"categories": ["beaver", 3]}', "not of the schema"),
        ('{"categories": [""]}', "not of the schema"),
        ('["beaver"]', "not of the schema"),
        ([{"type": "text", "text": '{"categories": ["beaver"]}'}], "not JSON"),
        ("[" * 100_000, "not JSON"),
        ('{"categories": ["\\ud800"]}', "not text"),
    ],
)
def test_unusable_answers(server, tmp_path, content, problem):
    """Asked once more; given up with a warning; other classes go on; nothing cached."""
    script(server, completion(content), completion(content), categories("van"))
    with pytest.warns(CurationWarning, match=f"'otter' in 2 attempts: {problem}"):
        assert run(proposer(server), tmp_path) == [("pickup_truck", "van")]
    script(server, categories("beaver"))
    assert run(proposer(server), tmp_path) == [("otter", "beaver"), ("pickup_truck", "van")]


def test_a_second_attempt_can_succeed(server, tmp_path):
    script(server, completion("Sure!"), categories("beaver"))
    llm = proposer(server)
    assert run(llm, tmp_path, TARGETS[:1]) == [("otter", "beaver")]
    assert (llm.usage_.calls, llm.usage_.tokens) == (2, 200)


@pytest.mark.parametrize(
    "content",
    [
        '```json\n{"categories": ["beaver"]}\n```',
        '\n```\n{"categories":\n["beaver"]}```\n',
        ' {"categories": ["beaver"]}\n',
    ],
)
def test_fences_around_json(server, tmp_path, content):
    script(server, completion(content))
    for _ in range(2):
        assert run(proposer(server), tmp_path, TARGETS[:1]) == [("otter", "beaver")]
    assert len(server.hits) == 1


@pytest.mark.parametrize(
    "body",
    [
        {"object": "error"},
        {"choices": []},
        {"choices": {"a": 1}},
        {"choices": [{}]},
        {"choices": [{"message": {}}]},
        [1],
    ],
)
def test_answers_outside_the_protocol(server, tmp_path, body):
    script(server, body, body)
    with pytest.warns(CurationWarning, match="not of the protocol|not JSON"):
        assert run(proposer(server), tmp_path, TARGETS[:1]) == []


@pytest.mark.parametrize("content_type", ["application/json", "text/html"])
def test_not_an_endpoint_at_all(server, tmp_path, content_type):
    server.routes[PATH] = server.fixed(b"<html>Welcome!</html>", content_type)
    if content_type == "text/html":
        with pytest.warns(CurationWarning, match="not of the protocol"):
            assert run(proposer(server), tmp_path, TARGETS[:1]) == []
    else:
        with pytest.raises(CurationError, match="did not answer"):
            run(proposer(server), tmp_path, TARGETS[:1])


@pytest.mark.parametrize(
    "refused",
    [
        completion(None, refusal="I cannot help with otters."),
        completion(None, refusal="\ud800"),
        completion(None, refusal=["no"]),
        completion('{"categories": []}', finish_reason="content_filter"),
    ],
)
def test_refusal_warns_is_cached_and_others_go_on(server, tmp_path, refused):
    script(server, refused, categories("van"))
    for _ in range(2):
        with pytest.warns(CurationWarning, match="named no neighbors of 'otter'"):
            assert run(proposer(server), tmp_path) == [("pickup_truck", "van")]
    assert len(server.hits) == 2


def test_rate_limit_is_waited_for(server, tmp_path):
    busy = (429, {"error": {"message": "slow down"}}, {"retry-after-ms": "20"})
    script(server, busy, busy, categories("beaver"))
    llm = proposer(server, max_retries=2)
    assert run(llm, tmp_path, TARGETS[:1]) == [("otter", "beaver")]
    assert llm.usage_.calls == len(server.hits) == 3


def test_lasting_rate_limit_ends_the_run_but_keeps_answers(server, tmp_path):
    busy = (429, {"error": {"message": "slow down"}}, {"retry-after-ms": "5"})
    script(server, categories("beaver"), busy, busy)
    llm = proposer(server, max_retries=1)
    with pytest.raises(CurationError, match=r"slow down.*run again"):
        run(llm, tmp_path)
    assert llm.usage_.calls == len(server.hits) == 3
    script(server, categories("van"))
    llm = proposer(server)
    assert run(llm, tmp_path) == [("otter", "beaver"), ("pickup_truck", "van")]
    assert (llm.usage_.calls, llm.usage_.replayed) == (1, 1)


def test_rejected_key(server, tmp_path):
    script(server, (401, {"error": {"message": "bad key"}}, {}))
    llm = proposer(server)
    with pytest.raises(CurationError, match="bad key"):
        run(llm, tmp_path)
    assert llm.usage_.calls == len(server.hits) == 1


def test_time_out(server, tmp_path):
    server.routes[PATH] = lambda handler: server.stopping.wait(5)
    llm = LLMProposer("test", base_url=f"{server.url}/v1", timeout=0.2, max_retries=0)
    with pytest.raises(CurationError, match="timed out"):
        run(llm, tmp_path)
    assert llm.usage_.calls == 1


def test_budget_of_calls_counts_retries(server, tmp_path):
    busy = (429, {"error": {"message": "slow down"}}, {"retry-after-ms": "5"})
    script(server, busy, categories("beaver"), categories("van"))
    llm = proposer(server, max_calls=2)
    with pytest.raises(BudgetExceededError, match="2 calls and 100 tokens are used"):
        run(llm, tmp_path)
    assert len(server.hits) == 2
    assert run(proposer(server, max_calls=1), tmp_path) == [
        ("otter", "beaver"),
        ("pickup_truck", "van"),
    ]


def test_retries_stop_at_the_budget(server, tmp_path):
    busy = (429, {"error": {"message": "slow down"}}, {"retry-after-ms": "5"})
    script(server, *[busy] * 10)
    with pytest.raises(CurationError, match="slow down"):
        run(proposer(server, max_calls=3, max_retries=9), tmp_path)
    assert len(server.hits) == 3


def test_budget_of_tokens(server, tmp_path):
    script(server, categories("beaver", tokens=5000), categories("van"))
    with pytest.raises(BudgetExceededError, match="5000 tokens are used"):
        run(proposer(server, max_tokens=5100), tmp_path)
    assert len(server.hits) == 1
    with pytest.raises(BudgetExceededError):
        run(proposer(server, max_tokens=0), tmp_path / "other")
    assert len(server.hits) == 1


@pytest.mark.parametrize(
    "usage", [None, {}, {"prompt_tokens": 5}, {"total_tokens": None}, {"total_tokens": "9"}, "9", 9]
)
def test_missing_usage_is_estimated(server, tmp_path, usage):
    script(server, {**categories("beaver"), "usage": usage})
    llm = proposer(server)
    assert run(llm, tmp_path, TARGETS[:1]) == [("otter", "beaver")]
    characters = sum(len(m["content"]) for m in json.loads(server.bodies[0])["messages"])
    assert llm.usage_.tokens == characters // 4


def test_dry_run_prints_and_sends_nothing(server, tmp_path, monkeypatch):
    script(server, categories("beaver"))
    run(proposer(server), tmp_path, TARGETS[:1])
    monkeypatch.delenv("OPENAI_API_KEY")
    printed = io.StringIO()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        usage = proposer(server).dry_run([*TARGETS, Target("fork", 1, 1)], tmp_path, file=printed)
    assert len(server.hits) == 1
    # Another target class changes every prompt.
    assert (usage.calls, usage.replayed) == (3, 0)
    assert "Target class: pickup truck\nNumber of categories: 2" in printed.getvalue()
    assert printed.getvalue().endswith(
        f"3 requests with about {usage.tokens} tokens of prompts; 0 answers are cached.\n"
    )
    usage = proposer(server).dry_run(TARGETS[:1], tmp_path, file=printed)
    assert (usage.calls, usage.tokens, usage.replayed) == (0, 0, 1)
