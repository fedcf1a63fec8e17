"""What a simulated model writes: an answer in kind, visibly weaker when it is not up to the task."""

import re
from collections.abc import Callable
from datetime import date

from msgspec import Struct, json

from batchroute.providers.simulator import labels
from batchroute.providers.simulator.prompts import TASKS, Prompt

UNSURE = "I'm not entirely sure"

_BODY_CHARS = 4_000
_SENTENCE = re.compile(r"[^.!?\n]{3,400}[.!?]?")
_WORD = re.compile(r"\w+")
_EMAIL = re.compile(r"[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,4}")
_DATE = re.compile(r"\b(\d{4})-(\d{2})-(\d{2})\b")
_NUMBER = re.compile(r"(?<![\w.-])-?\d{1,12}(?:\.\d{1,6})?(?![\w-])")
_SUM = re.compile(r"(\d{1,9})\s*([-+*x/])\s*(\d{1,9})")
_LANGUAGE = re.compile(r"\b(?:to|into|in|ins|auf|en|vers)\s+([A-Z][a-zé]{3,15}|[a-z]{4,15})\b")
_HARMFUL = re.compile(r"\b(?:kill|bomb|attack|hate|weapon|suicide|drugs?|stupid|idiot)\b", re.IGNORECASE)

_SCALE = re.compile(r"\bfrom (\d{1,3}) to (\d{1,3})\b")

_THOUGHTS = (
    "The short version is that {subject} depends on two things: what you start from and what you need.",
    "Begin with the simplest case of {subject}, check it, and only then widen it.",
    "A common mistake with {subject} is to optimise before measuring.",
    "In practice, most of the effort around {subject} goes into the exceptions, so list them early.",
    "If you have to choose, prefer the option that is easy to undo.",
    "For {subject}, a small example says more than a long explanation.",
    "Write down what you expect first; the difference to what you see is the answer.",
    "Once that works, {subject} becomes routine and can be left to a schedule.",
)
_VERSES = (
    "It began with {subject}, on a morning that smelled of rain.",
    "Nobody had expected {subject} to matter, least of all the one who carried it.",
    "The road bent twice before the lights of the harbour came up.",
    "What was lost stayed lost, but it had learned to sing.",
    "And so {subject} became the story that was told when the lamps went out.",
    "By winter the whole town knew it by heart.",
)
_PLAIN = TASKS.keys() | frozenset(
    [
        "about",
        "after",
        "before",
        "does",
        "from",
        "have",
        "hello",
        "into",
        "make",
        "many",
        "much",
        "please",
        "should",
        "that",
        "their",
        "them",
        "then",
        "there",
        "these",
        "they",
        "this",
        "what",
        "when",
        "where",
        "which",
        "while",
        "with",
        "would",
        "write",
        "your",
    ]
)
_VAGUE = (
    f"{UNSURE}, but it depends.",
    f"{UNSURE}. There are several ways to look at this.",
    f"{UNSURE}, something like that might work.",
)


class Piece(Struct, frozen=True, kw_only=True):
    """A task at hand: the prompt, the part of it that is worked on, and 64 bits that choose the wording."""

    prompt: Prompt
    body: str
    shape: int


def write(task: str, prompt: Prompt, *, able: bool, shape: int) -> str:
    """The answer of a model that is able to do the task, or of one that is not."""
    piece = Piece(prompt=prompt, body=body(prompt.text), shape=shape)
    good, weak = _WRITERS.get(task, (_chat, _vague))
    return good(piece) if able else weak(piece)


def poor(fault: str | None, prompt: Prompt, shape: int) -> str | None:
    """An answer that only looks like one; None for what is no such fault."""
    match fault:
        case "unsure":
            return _VAGUE[shape % len(_VAGUE)]
        case "placeholder":
            return f"About {subject(body(prompt.text))}: [insert the answer here]. TODO"
        case "short":
            return "Yes."
    return None


def body(text: str) -> str:
    """The text that an instruction is about: what follows its first line or colon, else all of it."""
    head, newline, rest = text[:_BODY_CHARS].partition("\n")
    if newline and rest.strip():
        return rest.strip()
    _, colon, rest = head.partition(": ")
    return rest.strip() if colon and rest.strip() else text[:_BODY_CHARS].strip()


def facts(text: str) -> dict[str, list[object]]:
    """The e-mail addresses, dates and numbers of a text, in its order."""
    dates = [found[0] for found in _DATE.finditer(text) if _is_date(found)]
    return {
        "emails": list(_EMAIL.findall(text)),
        "dates": list(dates),
        "numbers": [_number(found) for found in _NUMBER.findall(text)],
    }


def _is_date(found: re.Match[str]) -> bool:
    try:
        date(int(found[1]), int(found[2]), int(found[3]))
    except ValueError:
        return False
    return True


def _number(text: str) -> object:
    return float(text) if "." in text else int(text)


def subject(text: str) -> str:
    """Two words or fewer to speak of a text by."""
    words = [word for word in _WORD.findall(text[:120].lower()) if len(word) > 3 and word not in _PLAIN]
    return " ".join(words[-2:]) or "this"


def _chosen(bank: tuple[str, ...], piece: Piece, least: int) -> str:
    count = least + piece.shape % (len(bank) - least + 1)
    start = (piece.shape >> 8) % len(bank)
    chosen = [bank[(start + number) % len(bank)] for number in range(count)]
    return " ".join(chosen).replace("{subject}", subject(piece.body))


def _chat(piece: Piece) -> str:
    return _chosen(_THOUGHTS, piece, 3)


def _creative(piece: Piece) -> str:
    return _chosen(_VERSES, piece, 4).replace(". ", ".\n")


def _vague(piece: Piece) -> str:
    return _VAGUE[piece.shape % len(_VAGUE)]


def _code(piece: Piece) -> str:
    name = f"get_{subject(piece.body).replace(' ', '_')}"
    return (
        f"```python\ndef {name}(values):\n"
        f'    """Return what is asked for: {subject(piece.body)}."""\n'
        "    result = []\n    for value in values:\n        if value is not None:\n"
        "            result.append(value)\n    return result\n```\n"
        "It skips missing values and keeps the order of the rest."
    )


def _weak_code(piece: Piece) -> str:
    return f"```python\ndef f{piece.shape % 10}(x):\n    # {UNSURE} how to go on\n    pass"


def _classify(piece: Piece) -> str:
    return labels.right(labels.named(piece.prompt) or labels.DEFAULT_LABELS, piece.prompt)


def _misclassify(piece: Piece) -> str:
    choice = labels.named(piece.prompt) or labels.DEFAULT_LABELS
    return labels.wrong(choice, labels.right(choice, piece.prompt), piece.shape)


def _moderate(piece: Piece) -> str:
    return "flag" if _HARMFUL.search(piece.body) else "allow"


def _mismoderate(piece: Piece) -> str:
    return "allow" if _moderate(piece) == "flag" else "flag"


def _translate(piece: Piece) -> str:
    return f"[{_language(piece.prompt)}] {piece.body}"


def _half_translate(piece: Piece) -> str:
    words = piece.body.split(" ")
    return f"[{_language(piece.prompt)}] {' '.join(words[: max(1, len(words) // 3)])}... ({UNSURE} about the rest)"


def _language(prompt: Prompt) -> str:
    found = _LANGUAGE.search(prompt.text[:200]) or _LANGUAGE.search(prompt.system[:400])
    return found[1].capitalize() if found else "Translation"


def _summarize(piece: Piece) -> str:
    sentences = [sentence.strip() for sentence in _SENTENCE.findall(piece.body[:1200])]
    return " ".join(sentences[: 1 + piece.shape % 2])[:400] or "The text is empty."


def _weak_summary(piece: Piece) -> str:
    return f"It is about {subject(piece.body)} and other things."


def _extract(piece: Piece) -> str:
    return json.encode(facts(piece.prompt.text[:_BODY_CHARS])).decode()


def _half_extract(piece: Piece) -> str:
    if piece.shape % 2:
        return f"{UNSURE}, there may be some numbers in it."
    whole = _extract(piece)
    return whole[: len(whole) // 2]


def _reason(piece: Piece) -> str:
    steps, answer = _worked_out(piece.body)
    return f"Step 1: read what is given.\n{steps}\nStep 3: check it against the question.\n\nAnswer: {answer}"


def _misreason(piece: Piece) -> str:
    _, answer = _worked_out(piece.body)
    off = answer + 1 + piece.shape % 9 if isinstance(answer, int) else "it depends"
    return f"{UNSURE}, but it should be this.\n\nAnswer: {off}"


def _worked_out(text: str) -> tuple[str, int | str]:
    if found := _SUM.search(text):
        left, right = int(found[1]), int(found[3])
        results = {"+": left + right, "-": left - right, "/": left // right if right else 0}
        answer = results.get(found[2], left * right)
        return f"Step 2: {left} {found[2]} {right} is {answer}.", answer
    numbers = [int(number) for number in _NUMBER.findall(text)[:20] if number.lstrip("-").isdigit()]
    if numbers:
        return f"Step 2: together, {', '.join(map(str, numbers))} make {sum(numbers)}.", sum(numbers)
    return f"Step 2: what matters about {subject(text)} follows from its first sentence.", "yes"


def _judge(piece: Piece) -> str:
    """A judge that sees what gives a weak answer away: a label, or a score where a scale is named."""
    weak = UNSURE.lower() in piece.prompt.text.lower()
    if scale := _SCALE.search(piece.prompt.system):
        return _scored(scale, weak=weak)
    choice = labels.named(piece.prompt) or ("pass", "fail")
    return choice[-1] if weak else choice[0]


def _misjudge(piece: Piece) -> str:
    if scale := _SCALE.search(piece.prompt.system):
        return _scored(scale, weak=UNSURE.lower() not in piece.prompt.text.lower())
    choice = labels.named(piece.prompt) or ("pass", "fail")
    return labels.wrong(choice, _judge(piece), piece.shape)


def _scored(scale: re.Match[str], *, weak: bool) -> str:
    """A score near one end of the scale or the other."""
    low, high = int(scale[1]), int(scale[2])
    return f"{low + (0.2 if weak else 0.9) * (high - low):g}"


_Writer = Callable[[Piece], str]
_WRITERS: dict[str, tuple[_Writer, _Writer]] = {
    "chat": (_chat, _vague),
    "classify": (_classify, _misclassify),
    "code": (_code, _weak_code),
    "creative": (_creative, _vague),
    "extract": (_extract, _half_extract),
    "judge": (_judge, _misjudge),
    "moderate": (_moderate, _mismoderate),
    "reason": (_reason, _misreason),
    "summarize": (_summarize, _weak_summary),
    "translate": (_translate, _half_translate),
}
