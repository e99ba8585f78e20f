"""Names proposed by a language model."""

import json
import os
import re
import sys
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from ltlearn.curation._files import checksum, now, plain_text, write_atomically
from ltlearn.curation._types import Proposal, Target
from ltlearn.exceptions import BudgetExceededError, CurationError, CurationWarning
from ltlearn.utils._optional import import_optional_dependency
from ltlearn.utils._typing import FilePath

EXAMPLES = (
    ("violin", ("viola", "cello", "rebec", "mandolin", "hurdy-gurdy")),
    ("mug", ("tumbler", "beer stein", "goblet", "teapot", "measuring jug")),
    ("woodpecker", ("nuthatch", "treecreeper", "jay", "kingfisher", "starling")),
)

INSTRUCTIONS = """\
You help to collect pictures for an image classifier. It must tell these target classes apart:
{targets}.
{context}
For one target class at a time, name other categories whose pictures look much like pictures of \
that class: relatives, things of the same kind, use, shape or habitat. They are shown to the \
classifier as classes of their own, so that it learns what sets the target class apart.

Rules:
- Each category is finer than a general term: a species, a make, a particular tool.
- It can be seen in a photograph, and a picture search for its name finds it.
- It is none of the target classes, no kind of one, no synonym or spelling of one, and its name \
does not contain the name of one.
- No category is named twice. The most similar ones come first.
- Names are short, in the singular, in English.

Examples:
{examples}"""

QUESTION = "Target class: {anchor}\nNumber of categories: {n_names}"

SCHEMA = {
    "type": "object",
    "properties": {
        "categories": {"type": "array", "items": {"type": "string", "minLength": 1}},
    },
    "required": ["categories"],
    "additionalProperties": False,
}

# Times that a target class is asked for before an answer that cannot be used is given up.
ATTEMPTS = 2

# Models that know no structured outputs like to wrap JSON in Markdown.
FENCED = re.compile(r"\s*```\w*\n(.*)```\s*", re.DOTALL)

# English text has about four characters to a token; used where the endpoint reports no usage.
CHARACTERS_PER_TOKEN = 4


@dataclass
class Usage:
    """What the calls of an :class:`~ltlearn.curation.LLMProposer` added up to.

    Parameters
    ----------
    calls : int, default=0
        Requests sent, retries included.
    tokens : int, default=0
        Tokens of prompts and answers, as reported by the endpoint, or estimated where it does not.
    replayed : int, default=0
        Answers taken from the cache.

    Examples
    --------
    >>> from ltlearn.curation import Usage
    >>> Usage(calls=3, tokens=2400)
    Usage(calls=3, tokens=2400, replayed=0)
    """

    calls: int = 0
    tokens: int = 0
    replayed: int = 0


class LLMProposer:
    """Names from a language model behind any endpoint that speaks OpenAI's chat protocol.

    One request is made per target class. Its answer must be JSON of a fixed schema, which the
    endpoint is told (structured outputs) and which is validated here. Answers, refusals too, are
    cached under the hash of the request: a run can be repeated, and an interrupted one continued,
    without the endpoint and without a key.

    Parameters
    ----------
    model : str
        Name of the model.
    base_url : str, default=None
        Address of the endpoint; OpenAI's own, or the environment variable ``OPENAI_BASE_URL``, by
        default.
    api_key_variable : str, default="OPENAI_API_KEY"
        Environment variable that holds the key. The key is written nowhere. Set it to anything for
        an endpoint that needs none.
    context : str, default=""
        A sentence about the data that the model should know, e.g. ``"The pictures are taken under
        water."``
    examples : sequence of (str, sequence of str)
        Target classes and good answers, shown to the model.
    max_calls : int, default=1000
        Budget of requests of one :meth:`propose`, retries included.
    max_tokens : int, default=1_000_000
        Budget of tokens of one :meth:`propose`. It is compared with the tokens used so far plus an
        estimate of the next prompt, so one answer may exceed it.
    timeout : float, default=60
        Seconds that the endpoint may be silent, while connecting or between two parts of an
        answer, before a request is given up.
    max_retries : int, default=4
        Times that a request is repeated, with growing pauses, after a time-out, a broken
        connection, a rate limit or an error of the server.
    request_options : dict, default=None
        More fields of the request, e.g. ``{"temperature": 0, "max_completion_tokens": 500}``.
    cache : path-like, default=None
        Folder of cached answers; ``llm-cache`` in the output folder by default.

    Attributes
    ----------
    usage_ : Usage
        Of the last :meth:`propose`.

    Examples
    --------
    What a run would send:

    >>> from ltlearn.curation import LLMProposer, Target
    >>> proposer = LLMProposer("some-model", max_calls=100, max_tokens=50_000)
    >>> usage = proposer.dry_run([Target("otter", 12, 8)], "curated")
    [system]
    You help to collect pictures for an image classifier. ...
    [user]
    Target class: otter
    Number of categories: 8
    <BLANKLINE>
    1 requests with about ... tokens of prompts; 0 answers are cached.
    """

    def __init__(
        self,
        model: str,
        *,
        base_url: str | None = None,
        api_key_variable: str = "OPENAI_API_KEY",
        context: str = "",
        examples: Sequence[tuple[str, Sequence[str]]] = EXAMPLES,
        max_calls: int = 1000,
        max_tokens: int = 1_000_000,
        timeout: float = 60.0,
        max_retries: int = 4,
        request_options: dict[str, Any] | None = None,
        cache: FilePath | None = None,
    ) -> None:
        self.model = model
        self.base_url = base_url
        self.api_key_variable = api_key_variable
        self.context = context
        self.examples = examples
        self.max_calls = max_calls
        self.max_tokens = max_tokens
        self.timeout = timeout
        self.max_retries = max_retries
        self.request_options = request_options
        self.cache = cache

    def __repr__(self):
        return f"LLMProposer({self.model!r}, request_options={self.request_options})"

    def propose(self, targets: Sequence[Target], folder: FilePath) -> Iterator[Proposal]:
        """Yield proposals, class by class.

        A target class that the model refuses, or answers twice in a form that cannot be used,
        raises a :class:`~ltlearn.exceptions.CurationWarning` and gets no proposals.

        Parameters
        ----------
        targets : sequence of Target
        folder : path-like
            Output folder, which holds the cache unless ``cache`` is set.

        Yields
        ------
        proposal : Proposal

        Raises
        ------
        BudgetExceededError
            When the next request would exceed the budget.
        CurationError
            When the endpoint cannot be reached or rejects the request. Answers so far are cached
            in either case: run again to continue.
        """
        self.usage_ = Usage()
        cache = self._cache(folder)
        for target in targets:
            request = self._request(target, targets)
            digest = _digest(request)
            answer = _read_answer(cache / f"{digest}.json")
            if answer is not None:
                self.usage_.replayed += 1
            else:
                answer = self._ask(target, request, cache / f"{digest}.json")
            if answer["refusal"]:
                _warn(f"The model named no neighbors of {target.name!r}: {answer['refusal']}")
            for name in answer["categories"]:
                yield Proposal(target.name, name, f"llm:{self.model}", digest)

    def dry_run(
        self, targets: Sequence[Target], folder: FilePath, *, file: IO[str] | None = None
    ) -> Usage:
        """Print every prompt that :meth:`propose` would send, and an estimate; send nothing.

        Parameters
        ----------
        targets : sequence of Target
        folder : path-like
            The output folder, whose cache is looked at but not changed.
        file : text file, default=None
            Where to print; standard output by default.

        Returns
        -------
        usage : Usage
            Requests to send, tokens of their prompts (the answers are not known), answers that the
            cache holds.
        """
        file = sys.stdout if file is None else file
        cache = self._cache(folder)
        usage = Usage()
        for target in targets:
            request = self._request(target, targets)
            if _read_answer(cache / f"{_digest(request)}.json") is not None:
                usage.replayed += 1
                continue
            usage.calls += 1
            usage.tokens += _estimate_tokens(request)
            for message in request["messages"]:
                print(f"[{message['role']}]\n{message['content']}\n", file=file)
        print(
            f"{usage.calls} requests with about {usage.tokens} tokens of prompts; {usage.replayed} "
            "answers are cached.",
            file=file,
        )
        return usage

    def _cache(self, folder):
        return Path(folder) / "llm-cache" if self.cache is None else Path(self.cache)

    def _request(self, target, targets):
        examples = [
            QUESTION.format(anchor=anchor, n_names=len(names))
            + "\n"
            + json.dumps({"categories": list(names)})
            for anchor, names in self.examples
        ]
        instructions = INSTRUCTIONS.format(
            targets=", ".join(_readable(each.name) for each in targets),
            context=f"{self.context}\n" if self.context else "",
            examples="\n\n".join(examples),
        )
        question = QUESTION.format(anchor=_readable(target.name), n_names=target.n_names)
        return {
            "model": self.model,
            "messages": [
                {"role": "system", "content": instructions},
                {"role": "user", "content": question},
            ],
            "response_format": {
                "type": "json_schema",
                "json_schema": {"name": "categories", "strict": True, "schema": SCHEMA},
            },
            **(self.request_options or {}),
        }

    def _ask(self, target, request, file):
        """Ask the endpoint until the answer can be used; cache it."""
        problem = ""
        for _ in range(ATTEMPTS):
            completion = self._call(request)
            try:
                answer = _parse(completion)
            except ValueError as error:
                problem = str(error)
                continue
            entry = {"request": request, "answer": answer, "time": now()}
            write_atomically(file, json.dumps(entry, ensure_ascii=False, indent=1))
            return answer
        _warn(f"No usable answer for {target.name!r} in {ATTEMPTS} attempts: {problem}")
        return {"categories": [], "refusal": ""}

    def _call(self, request):
        """One completion, within the budget."""
        openai = import_optional_dependency("openai", "curation")
        calls_left = self.max_calls - self.usage_.calls
        tokens = self.usage_.tokens + _estimate_tokens(request)
        if calls_left < 1 or tokens > self.max_tokens:
            raise BudgetExceededError(
                f"The next request would exceed the budget of {self.max_calls} calls and "
                f"{self.max_tokens} tokens; {self.usage_.calls} calls and {self.usage_.tokens} "
                "tokens are used. Answers so far are cached: run again with a larger budget to "
                "continue."
            )
        http_client = openai.DefaultHttpxClient(event_hooks={"request": [self._count_call]})
        try:
            with openai.OpenAI(
                api_key=self._key(),
                base_url=self.base_url,
                timeout=self.timeout,
                max_retries=min(self.max_retries, calls_left - 1),
                http_client=http_client,
            ) as client:
                completion = client.chat.completions.create(**request)
        except (openai.APIError, ValueError) as error:  # ValueError: not JSON at all
            raise CurationError(
                f"The endpoint did not answer: {error}. Answers so far are cached: run again to "
                "continue."
            ) from error
        tokens = getattr(getattr(completion, "usage", None), "total_tokens", None)
        self.usage_.tokens += tokens if isinstance(tokens, int) else _estimate_tokens(request)
        return completion

    def _count_call(self, request):
        self.usage_.calls += 1

    def _key(self):
        key = os.environ.get(self.api_key_variable)
        if not key:
            raise CurationError(
                f"The environment variable {self.api_key_variable} holds no key for the endpoint."
            )
        return key


def _parse(completion):
    """Categories or refusal of a completion; a ValueError says what is wrong with it."""
    jsonschema = import_optional_dependency("jsonschema", "curation")
    try:
        choice = completion.choices[0]
        content, refusal = choice.message.content, choice.message.refusal
        filtered = choice.finish_reason == "content_filter"
    except (AttributeError, LookupError, TypeError) as error:
        raise ValueError(f"not of the protocol: {error}") from error
    if refusal or filtered:
        return {"categories": [], "refusal": plain_text(refusal or "stopped by the content filter")}
    try:
        fenced = FENCED.fullmatch(content or "")
        answer = json.loads(fenced.group(1) if fenced else content or "")
    except (ValueError, TypeError, RecursionError) as error:
        raise ValueError(f"not JSON: {error}") from error
    try:
        jsonschema.validate(answer, SCHEMA)
    except jsonschema.ValidationError as error:
        raise ValueError(f"not of the schema: {error.message}") from error
    if any(plain_text(name) != name for name in answer["categories"]):
        raise ValueError("not text that can be written as UTF-8")
    return {"categories": answer["categories"], "refusal": ""}


def _read_answer(file):
    """The cached answer; None where there is none, or none that can be read."""
    try:
        answer = json.loads(file.read_text(encoding="utf-8"))["answer"]
        return {"categories": list(answer["categories"]), "refusal": answer["refusal"]}
    except (FileNotFoundError, ValueError, LookupError, TypeError):
        return None


def _digest(request):
    return checksum(json.dumps(request, sort_keys=True))


def _estimate_tokens(request):
    return sum(len(message["content"]) for message in request["messages"]) // CHARACTERS_PER_TOKEN


def _readable(name):
    return name.replace("_", " ")


def _warn(message):
    warnings.warn(message, CurationWarning, stacklevel=4)
