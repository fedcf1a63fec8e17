"""Providers that are known by name: where their OpenAI-compatible API is, and which variable holds the key.

The dates are those of the pages when they were read.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final, Literal, TypeAlias
from urllib.parse import urlsplit

from batchroute.job.documents import Node
from batchroute.job.problems import KeyPath, Problem

PresetName: TypeAlias = Literal[
    "openai",
    "azure",
    "anthropic",
    "gemini",
    "deepseek",
    "mistral",
    "groq",
    "together",
    "fireworks",
    "openrouter",
    "xai",
    "qwen",
    "zhipu",
    "moonshot",
    "ollama",
    "vllm",
]


@dataclass(frozen=True, slots=True)
class Preset:
    """An endpoint. `base_url` is None where each customer has another, `variable` where no key is needed.

    `hosts` are further hosts of the same provider that its key may be sent to, `.suffix` for all below it.
    `key_header` carries the key instead of `Authorization: Bearer`.
    """

    base_url: str | None
    variable: str | None = None
    hosts: tuple[str, ...] = ()
    key_header: str | None = None

    def owns(self, url: str) -> bool:
        """Whether a URL is one of this provider's."""
        host, own = _host(url), _host(self.base_url or "")
        return host != "" and (
            host == own
            or any(host == each or (each[0] == "." and host.endswith(each)) for each in self.hosts)
        )


PRESETS: Final[Mapping[PresetName, Preset]] = {
    # pypi.org/project/openai 3.52.0 of 2026-11, _data_residency.py: this one, and a host for each region, as
    # developers.openai.com/api/docs/guides/data-residency of 2026-11 has them
    "openai": Preset("https://api.openai.com/v1", "OPENAI_API_KEY", (".api.openai.com",)),
    # learn.microsoft.com/azure/ai-foundry/openai/api-version-lifecycle of 2025-11: /openai/v1 below the resource's
    # host takes api-key and no api-version; the model is the name of the deployment.
    "azure": Preset(
        None, "AZURE_OPENAI_API_KEY", (".openai.azure.com", ".services.ai.azure.com"), key_header="api-key"
    ),
    # platform.claude.com/docs/en/cli-sdks-libraries/libraries/openai-sdk of 2026-11
    "anthropic": Preset("https://api.anthropic.com/v1", "ANTHROPIC_API_KEY"),
    # ai.google.dev/gemini-api/docs/openai of 2026-11
    "gemini": Preset("https://generativelanguage.googleapis.com/v1beta/openai", "GEMINI_API_KEY"),
    # api-docs.deepseek.com of 2026-11
    "deepseek": Preset("https://api.deepseek.com", "DEEPSEEK_API_KEY"),
    # docs.mistral.ai/api of 2026-11, Chat Completion: its curl command, and the variable of its Python client
    "mistral": Preset("https://api.mistral.ai/v1", "MISTRAL_API_KEY"),
    # console.groq.com/docs/openai of 2026-11
    "groq": Preset("https://api.groq.com/openai/v1", "GROQ_API_KEY"),
    # docs.together.ai/docs/inference/openai-compatibility of 2026-11; .xyz is its older name
    "together": Preset("https://api.together.ai/v1", "TOGETHER_API_KEY", ("api.together.xyz",)),
    # docs.fireworks.ai/tools-sdks/openai-compatibility of 2026-11
    "fireworks": Preset("https://api.fireworks.ai/inference/v1", "FIREWORKS_API_KEY"),
    # openrouter.ai/docs/quick-start of 2026-11
    "openrouter": Preset("https://openrouter.ai/api/v1", "OPENROUTER_API_KEY"),
    # docs.x.ai/api/integrations of 2026-11, OpenAI SDK: base_url and variable
    "xai": Preset("https://api.x.ai/v1", "XAI_API_KEY"),
    # alibabacloud.com/help/en/model-studio/compatibility-of-openai-with-dashscope of 2026-03: a host for each region,
    # each with keys of its own
    "qwen": Preset(
        "https://dashscope-intl.aliyuncs.com/compatible-mode/v1",
        "DASHSCOPE_API_KEY",
        ("dashscope.aliyuncs.com", "dashscope-us.aliyuncs.com", "cn-hongkong.dashscope.aliyuncs.com"),
    ),
    # pypi.org/project/zhipuai 2.1.5 of 2025-07; z.ai, the provider's other host, has keys of its own
    "zhipu": Preset("https://open.bigmodel.cn/api/paas/v4", "ZHIPUAI_API_KEY"),
    # platform.kimi.ai/docs/api/quickstart of 2026-11
    "moonshot": Preset("https://api.moonshot.ai/v1", "MOONSHOT_API_KEY", ("api.moonshot.cn",)),
    # docs.ollama.com/api/openai-compatibility of 2026-10
    "ollama": Preset("http://localhost:11434/v1"),
    # docs.vllm.ai/en/v0.8.1/serving/openai_compatible_server of 2025-03
    "vllm": Preset("http://localhost:8000/v1"),
}


def named(text: object) -> Preset | None:
    """The preset of this name, if there is one."""
    return next((preset for name, preset in PRESETS.items() if name == text), None)


def preset_of(url: str) -> PresetName | None:
    """The provider whose URL this is. Local servers look all alike."""
    return next((name for name, preset in PRESETS.items() if preset.variable and preset.owns(url)), None)


def with_keys(root: Node, environ: Mapping[str, str]) -> tuple[Node, tuple[Problem, ...]]:
    """The tree with the keys that presets take from the environment, beside those that are not there.

    A key goes to its provider's own hosts only; to send it elsewhere has to be written.
    """
    providers = root.child("providers")
    if providers is None or not isinstance(root.value, dict):
        return root, ()
    problems: list[Problem] = []
    found = {
        name: _with_key(name, node, environ, problems) if node.entries() else node
        for name, node in providers.entries().items()
    }
    if not found:
        return root, ()
    return replace(root, value={**root.value, "providers": replace(providers, value=found)}), tuple(problems)


def _with_key(name: str, provider: Node, environ: Mapping[str, str], problems: list[Problem]) -> Node:
    written = provider.child("preset")
    preset = named(written.text()) if written else None
    if written is None or preset is None or preset.variable is None or _has_key(provider, preset):
        return provider
    url = (base_url.text() if (base_url := provider.child("base_url")) else None) or preset.base_url
    if url is None or (preset_of(url) is not None and not preset.owns(url)):
        return provider  # refused elsewhere
    variable: str = preset.variable
    problem = _unusable(url, preset, variable, environ)
    if problem is not None:
        path: KeyPath = ("providers", name, "preset")
        reason, remedy, code = problem
        problems.append(Problem(mark=written.mark, path=path, reason=reason, remedy=remedy, code=code))
        return provider
    key = replace(
        written, value=environ[variable], source=f"${{{variable}}}", variables=frozenset({variable})
    )
    return replace(provider, value={**provider.entries(), "api_key": key})


def _has_key(provider: Node, preset: Preset) -> bool:
    headers = provider.child("headers")
    written = {header.lower() for header in (headers.entries() if headers else ())}
    return bool(provider.child("api_key") or provider.child("api_key_file")) or preset.key_header in written


def _unusable(
    url: str, preset: Preset, variable: str, environ: Mapping[str, str]
) -> tuple[str, str, str] | None:
    """Why the key is not taken from the environment: reason, remedy and word."""
    if not preset.owns(url):
        remedy = f'If its key is to be sent there, write api_key: "${{{variable}}}"; EMPTY for none'
        return f"has a base_url elsewhere, where {variable} is not sent", remedy, "job_preset"
    if not environ.get(variable):
        state = "empty" if variable in environ else "not set"
        remedy = "Set it, or give the provider an api_key or api_key_file"
        return f"takes its key from the variable {variable}, which is {state}", remedy, "env_unset"
    return None


def _host(url: str) -> str:
    try:
        return (urlsplit(url).hostname or "").rstrip(".")
    except ValueError:  # refused elsewhere
        return ""
