"""Parameters of a request by name: which ones the APIs take, and which one was meant by another."""

from collections.abc import Iterable
from difflib import get_close_matches
from typing import Final

_OPENAI: Final = (
    "audio frequency_penalty functions function_call include instructions logit_bias logprobs max_completion_tokens "
    "max_output_tokens max_tokens max_tool_calls metadata modalities moderation parallel_tool_calls prediction "
    "presence_penalty prompt_cache_key prompt_cache_options prompt_cache_retention reasoning reasoning_effort "
    "response_format safety_identifier seed service_tier stop store stream_options temperature text tool_choice tools "
    "top_logprobs top_p truncation user verbosity web_search_options"
)
"""platform.openai.com, API reference, Chat and Responses, as the types of openai 3.54 have them (2026-11)."""

_OTHERS: Final = (
    "best_of chat_template_kwargs enable_thinking ignore_eos length_penalty min_p min_tokens models plugins provider "
    "random_seed repetition_penalty safe_prompt stop_token_ids thinking top_a top_k transforms typical_p"
)
"""docs.vllm.ai, OpenAI-compatible server; openrouter.ai/docs, parameters; docs.mistral.ai/api (2026-11)."""

_KNOWN: Final = frozenset(f"{_OPENAI} {_OTHERS}".split())
_ALIKE: Final = 0.85
"""`temprature` is, `top_n` is not: a server may have parameters of its own."""


def misspelt(names: Iterable[str]) -> list[tuple[str, str]]:
    """The names that no API is known to take and that are spelled nearly as one that is, each with that one."""
    unknown = [name for name in names if name not in _KNOWN]
    near = [(name, get_close_matches(name.lower(), _KNOWN, n=1, cutoff=_ALIKE)) for name in unknown]
    return [(name, close[0]) for name, close in near if close]
