# ruff: noqa: RUF001 - full-width punctuation is what Chinese and Japanese are written with
"""How answers betray that they are none: what was to be filled in, doubt, and refusals, in eleven languages."""

from typing import Final


def _any(*patterns: str) -> str:
    return "|".join(f"(?:{pattern})" for pattern in patterns)


PLACEHOLDERS: Final = _any(
    r"(?-i)\b(?:TODO|FIXME|TBD|XXX+)\b",
    r"\blorem ipsum\b",
    r"\{\{[^{}\n]{1,80}\}\}",
    r"\[(?:your|the|insert|add|enter|fill in|put|replace|specify|describe|company|client|customer)\b[^\]\n]{0,80}\]",
    r"<(?:your|insert|add|enter|fill in|replace)[ _-][^<>\n]{0,80}>",
    r"\[(?:ihr|ihre|ihren|dein|deine|hier|name|einfügen|bitte)\b[^\]\n]{0,80}\]|\[[^\]\n]{1,80} (?:einfügen|eintragen|ergänzen)\]",
    r"\[(?:votre|vos|insérer|insérez|ajouter|ajoutez|compléter|nom)\b[^\]\n]{0,80}\]",
    r"\[(?:su|tu|insertar|inserte|inserta|añadir|completar|nombre|aquí)\b[^\]\n]{0,80}\]",
    r"\[(?:inserire|inserisci|il tuo|la tua|aggiungere|nome)\b[^\]\n]{0,80}\]",
    r"\[(?:seu|sua|inserir|insira|adicionar|nome)\b[^\]\n]{0,80}\]",
    r"\[(?:uw|jouw|je|voeg|vul|invoegen|naam)\b[^\]\n]{0,80}\]",
    r"\[(?:вставьте|вставить|ваш|ваше|ваша|имя)\b[^\]\n]{0,80}\]",
    r"[\[【（](?:请|請|在此|此处|此處|插入|填写|填寫|您的|你的|ここに|挿入|お名前|여기에|삽입|이름)[^\]】）\n]{0,80}[\]】）]",
)
"""What somebody was to fill in: TODO, lorem ipsum, [insert ...], {{ name }}."""

UNCERTAIN: Final = _any(
    r"\b(?:i'm|i am|we're|we are) (?:not|un) ?(?:entirely |completely |fully |quite |really |very |100 ?% |totally )?(?:sure|certain|confident)\b",
    r"\bi(?:'m| am) (?:unsure|uncertain)\b|\bi (?:don't|do not) (?:really )?know\b|\bi (?:can't|cannot|can not) be (?:sure|certain)\b",
    r"\bas an? (?:ai|artificial intelligence|language model|large language model)\b|\bmy knowledge cut-?off\b",
    r"\bich (?:bin|wäre) mir (?:da |hier )?(?:nicht|un) ?(?:ganz |völlig |hundertprozentig |wirklich )?sicher\b|\bich weiß (?:es |das )?nicht\b|\bals (?:ki|künstliche intelligenz|sprachmodell)\b",
    r"\bje ne (?:suis pas|sais pas)(?: (?:tout à fait|entièrement|vraiment|totalement))?(?: (?:sûre?|certaine?))?\b|\ben tant qu(?:e modèle|'ia|'intelligence)",
    r"\bno estoy (?:del todo |completamente |totalmente |muy )?segur[oa]\b|\bno lo sé\b|\bcomo (?:una )?(?:ia|inteligencia artificial|modelo de lenguaje)\b",
    r"\bnon (?:sono|ne sono) (?:del tutto |completamente |molto )?sicur[oa]\b|\bnon lo so\b|\bcome (?:ia|intelligenza artificiale|modello linguistico)\b",
    r"\bnão (?:tenho|estou) (?:a )?(?:certeza|cert[oa]|segur[oa]|totalmente cert[oa])|\bnão sei\b|\bcomo (?:uma )?(?:ia|inteligência artificial)\b|\bcomo um modelo de linguagem\b",
    r"\bik (?:ben|weet)(?: het)? (?:er )?niet (?:helemaal |volledig |echt )?zeker\b|\bik weet het niet\b|\bals (?:een )?(?:ai|taalmodel)\b",
    r"я не (?:совсем |полностью |до конца )?уверена?|я не знаю|как (?:языковая модель|искусственный интеллект)",
    r"我不(?:太|完全|是很)?(?:确定|確定|清楚)|我不知道|作为(?:一个)?(?:人工智能|语言模型|AI)|作為(?:一個)?(?:人工智慧|語言模型|AI)",
    r"(?:よく|正確には)?(?:わかりません|分かりません)|確信が(?:ありません|持てません)|AIとして|言語モデルとして",
    r"잘 모르겠|확실하지 않|확신할 수 없|AI로서|언어 모델로서",
)
"""Doubt, and talk of being a model."""

REFUSALS: Final = (
    r"^\W*(?:"
    + _any(
        r"(?:i'm |i am |we're |we are )?(?:very |so |terribly )?(?:sorry|afraid)[,.]?(?: but)?(?: that)? i(?:'m| am)? ?(?:can't|cannot|can not|won't|will not|unable|not able|not allowed|must decline|have to decline)",
        r"(?:i apologi[sz]e|apologies|unfortunately)[,.]?(?: but)? i(?:'m| am)? ?(?:can't|cannot|can not|won't|will not|unable|not able)",
        r"i(?:'m| am)? ?(?:can't|cannot|can not|won't|will not|unable to|not able to) (?:help|assist|comply|do that|provide|answer|fulfil|fulfill|discuss|generate|create|write|engage)",
        r"i (?:must|have to) (?:respectfully )?(?:decline|refuse)|i(?:'m| am) not (?:able|allowed|comfortable)",
        r"(?:es tut mir leid|tut mir leid|leider|entschuldigung)[,.]?(?: aber)?(?: (?:dabei|das|da))? ?(?:kann|darf|werde) ich (?:\S+ ){0,4}(?:nicht|keine)|(?:dabei|das) kann ich (?:\S+ ){0,3}nicht",
        r"(?:je suis )?(?:désolée?|navrée?)[,.]?(?: mais)? je ne (?:peux|suis)|je ne (?:peux|puis) pas (?:vous |t')?(?:aider|répondre|fournir)",
        r"lo siento[,.]?(?: pero)? no (?:puedo|me es posible)|no puedo (?:ayudar|responder|proporcionar|cumplir)",
        r"(?:mi dispiace|spiacente)[,.]?(?: ma)? non posso|non posso (?:aiutar|rispondere|fornire)",
        r"(?:desculpe|sinto muito|lamento)[,.]?(?: mas)? (?:eu )?não posso|não posso (?:ajudar|responder|fornecer)",
        r"(?:het spijt me|sorry|helaas)[,.]?(?: maar)? (?:ik kan|dat kan ik|daar kan ik) (?:\S+ ){0,4}niet",
        r"(?:извините|простите|к сожалению)[,.]?(?: но)? я не (?:могу|имею)|я не могу (?:помочь|ответить|выполнить)",
        r"(?:很抱歉|对不起|對不起|抱歉)[,，。]?(?:但)?(?:是)?我(?:无法|無法|不能)|我(?:无法|無法|不能)(?:帮助|幫助|协助|協助|提供|回答)",
        r"(?:申し訳(?:ありません|ございません)|すみません)(?:が)?[、,]?.{0,40}(?:できません|お答えできません|いたしかねます)",
        r"(?:죄송합니다|죄송하지만|미안하지만)[,.]?.{0,40}(?:없습니다|어렵습니다)",
    )
    + ")"
)
"""How an answer begins that declines to be one."""
