"""What is known of models by the names that their providers give them, so that no job has to say it.

Only what a public page says; a job's own `adapt` wins member by member.
"""

import re
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from batchroute.job.adaptations import Adaptation
from batchroute.job.presets import PresetName

_DATED: Final = r"(-\d{4}-\d{2}-\d{2})?"
_NEW_CAP: Final = {"max_tokens": "max_completion_tokens"}
_OLD_CAP: Final = {"max_completion_tokens": "max_tokens"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """Models of these presets whose name matches as a whole, and what their API differs in."""

    presets: frozenset[PresetName]
    names: str
    adaptation: Adaptation


FAMILIES: Final = (
    # learn.microsoft.com/azure/ai-foundry/openai/how-to/reasoning (2025-11), "Not supported" and the notes of its
    # tables: o-series and GPT-5 models take max_completion_tokens only, and none of the parameters dropped here.
    # OpenAI's own endpoint refuses the same: github.com/tmc/langchaingo/issues/1355 (2025-08) for gpt-5*.
    Family(
        presets=frozenset({"openai", "azure"}),
        names=rf"(o1|o3|o3-mini|o4-mini|gpt-5|gpt-5-mini|gpt-5-nano){_DATED}",
        adaptation=Adaptation(
            rename=_NEW_CAP,
            drop=(
                "temperature",
                "top_p",
                "presence_penalty",
                "frequency_penalty",
                "logprobs",
                "top_logprobs",
                "logit_bias",
            ),
        ),
    ),
    # github.com/decolua/9router/issues/560 (2026-04): gpt-5.4 refuses max_tokens. Whether it takes a temperature
    # depends on its reasoning effort, so that one stays as the job has it.
    Family(
        presets=frozenset({"openai", "azure"}),
        names=rf"gpt-5\.\d+(-mini|-nano)?{_DATED}",
        adaptation=Adaptation(rename=_NEW_CAP),
    ),
    # docs.x.ai/docs/guides/reasoning (2025-11): an error with reasoning models; grok-4 takes no reasoning_effort either.
    Family(
        presets=frozenset({"xai"}),
        names=r"grok-4(-0709|-latest)?|grok-4-fast-reasoning",
        adaptation=Adaptation(drop=("presence_penalty", "frequency_penalty", "stop", "reasoning_effort")),
    ),
    Family(
        presets=frozenset({"xai"}),
        names=r"grok-3-mini(-fast)?(-latest)?",
        adaptation=Adaptation(drop=("presence_penalty", "frequency_penalty", "stop")),
    ),
    # docs.mistral.ai/api, chat completions: max_tokens; another member is refused with 422, this one too:
    # github.com/editor-code-assistant/eca/issues/231 (2025-12).
    Family(presets=frozenset({"mistral"}), names=r".*", adaptation=Adaptation(rename=_OLD_CAP)),
    # docs.ollama.com/api/openai-compatibility (2026-10), the fields it reads: of the two limits max_tokens only.
    Family(presets=frozenset({"ollama"}), names=r".*", adaptation=Adaptation(rename=_OLD_CAP)),
)


ResponseFormat: TypeAlias = Literal["json_schema", "json_object", "text"]
"""By which response_format a model can be asked for JSON; text: it has to be told in words."""

# By preset, the first whose pattern is the whole name. A model that is not here is told in words, which every one takes.
_FORMATS: Final[dict[PresetName, tuple[tuple[str, ResponseFormat], ...]]] = {
    # developers.openai.com/api/docs/guides/structured-outputs (2026-02): gpt-4o-mini, gpt-4o-2024-08-06 and what came
    # later; json_object with gpt-4-turbo and gpt-3.5-turbo, too.
    "openai": (
        (r"gpt-4o-2024-05-13|gpt-4-turbo.*|gpt-3\.5-turbo.*", "json_object"),
        (
            rf"(gpt-4o(-mini)?|gpt-4\.1(-mini|-nano)?|gpt-5(\.\d+)?(-mini|-nano)?|o1|o3|o3-mini|o4-mini){_DATED}",
            "json_schema",
        ),
    ),
    # as api-docs.deepseek.com, JSON Output, says (2026-11)
    "deepseek": ((r"deepseek-.*", "json_object"),),
}


def known_format(preset: PresetName | None, model: str) -> ResponseFormat:
    """How the model that the provider of this preset calls by this name can be asked for JSON, as far as is known."""
    formats = _FORMATS.get(preset, ()) if preset is not None else ()
    return next((found for names, found in formats if re.fullmatch(names, model)), "text")


def known(preset: PresetName | None, model: str) -> Adaptation | None:
    """What is known of the model that the provider of this preset calls by this name."""
    return next(
        (
            family.adaptation
            for family in FAMILIES
            if preset in family.presets and re.fullmatch(family.names, model)
        ),
        None,
    )
