"""What a simulated model reads: the messages as text, their length in tokens, and the task they ask for."""

import re
from functools import lru_cache

from msgspec import Struct

_HEAD_CHARS = 400  # an instruction stands at the beginning; what follows is the text it is about
_WORD = re.compile(r"[^\W\d_]+")

_TASK_WORDS = {
    "code": "code function python javascript typescript java rust sql regex bug debug implement script algorithm "
    "refactor compile fonction funktion función programm",
    "translate": "translate translation translated übersetze übersetzen traduire traduisez traduce traducir traduza",
    "summarize": "summarize summarise summary summaries condense shorten tldr zusammenfassung résume résumez resume "
    "resumir resumen",
    "extract": "extract extraction parse extrahiere extraire extraer",
    "classify": "classify classification categorize categorise category categories label labels sentiment "
    "klassifiziere classer clasifica",
    "reason": "reason reasoning prove proof calculate compute solve puzzle deduce berechne löse calculer calcula",
    "moderate": "moderate moderation harmful toxic harassment offensive unsafe",
    "creative": "poem story haiku slogan tagline lyrics limerick gedicht geschichte poème poema cuento",
    "judge": "judge grade grader evaluate",
}
TASKS = {word: task for task, words in _TASK_WORDS.items() for word in words.split()}
"""The task that a word speaks of."""

_TASK_SIGNS = {  # where words are not set apart by spaces
    **dict.fromkeys(("翻译", "翻譯", "翻訳", "번역"), "translate"),
    **dict.fromkeys(("总结", "摘要", "要約", "요약"), "summarize"),
    **dict.fromkeys(("代码", "函数", "コード", "関数", "코드"), "code"),
    **dict.fromkeys(("分类", "分類", "분류"), "classify"),
    **dict.fromkeys(("提取", "抽出", "추출"), "extract"),
    **dict.fromkeys(("计算", "計算", "证明", "계산"), "reason"),
}


class Prompt(Struct, frozen=True, kw_only=True):
    """The messages of one request: the instructions, the last user message, tokens, and all of it as bytes."""

    system: str
    text: str
    tokens: int
    wire: bytes


def read(messages: list[tuple[str, str]]) -> Prompt:
    """Read messages as (role, text); about four bytes a token, and four tokens around each message."""
    wire = "\x1e".join([f"{role}\x1f{text}" for role, text in messages]).encode("utf-8", "replace")
    system = [text for role, text in messages if role in {"system", "developer"}]
    others = [text for role, text in messages if role not in {"system", "developer"}]
    return Prompt(
        system="\n".join(system),
        text=others[-1] if others else "",
        tokens=len(wire) // 4 + 4 * len(messages),
        wire=wire,
    )


def infer(prompt: Prompt) -> str:
    """The task a prompt asks for: by its instructions if they name one alone, else by the text, else chat."""
    return _instructed(prompt.system) or topic(prompt.text)


def topic(text: str) -> str:
    """The task of which a text speaks first; chat when it speaks of none."""
    for word in _words(text):
        if task := TASKS.get(word):
            return task
    head = text[:_HEAD_CHARS]
    if not head.isascii():
        for sign, task in _TASK_SIGNS.items():
            if sign in head:
                return task
    return "chat"


@lru_cache(maxsize=64)  # a job has few system messages
def _instructed(system: str) -> str | None:
    told = {TASKS[word] for word in _words(system) if word in TASKS}
    if about := told & {"classify", "judge"}:  # the other tasks may be its labels
        return max(about)
    return told.pop() if len(told) == 1 else None


def _words(text: str) -> list[str]:
    return _WORD.findall(text[:_HEAD_CHARS].lower())
