# ruff: noqa: RUF001 - full-width punctuation is what Chinese and Japanese are written with
"""The shipped task patterns, and the guess they make: which kind of work a text asks for.

An instruction that a text begins with decides: a verb where the sentence begins, and perhaps what it is about. Such
rules are few and sure. All other texts are judged by their wording, which is weighed (`wordings.py`).

English, Chinese, Spanish, French and German throughout; Portuguese, Italian and Japanese for the
commonest wordings. The patterns are plain words, `|` between them: a word begins where a word begins
(`~` allows the middle of one), and goes on as it likes (`_` ends it), so that stems do.

Speed decides the form. Words become one prefix tree, because an automaton over a long list of
alternatives outgrows the space that Rust's engine gives it, after which it is two hundred times slower;
the word boundary is the ASCII one, because the Unicode one does the same on text that is not ASCII.
"""

import functools
from collections.abc import Callable, Iterable
from typing import Final, TypeAlias

import polars as pl
from msgspec import Struct

from batchroute.routing.opinions import Opinion
from batchroute.routing.weights import TASKS
from batchroute.routing.wordings import is_wide, likeliest
from batchroute.routing.words import any_of, ascii_boundaries, in_script, words_as_one

VISION: Final = "vision"
"""The task of a text that is about a picture, however it is worded."""

NAMES: Final = frozenset((*TASKS, VISION))
"""Of all tasks that are told apart."""

OPENING: Final = 240
"""Characters at the start of a text that are read."""

ENDING: Final = 120
"""Characters at its end that are read."""


class Ask(Struct, frozen=True):
    """An instruction of two parts, the second later in the same clause: "is | are", "toxic | abusive"."""

    verbs: str
    objects: str


class Cues(Struct, frozen=True, kw_only=True):
    """What gives one task away, as words."""

    task: str
    asks: tuple[Ask, ...] = ()
    """Count where a sentence begins, after words of courtesy. They go before orders."""
    orders: str = ""
    """Count where a sentence begins: imperatives and questions."""
    products: str = ""
    """Count where a sentence begins with a verb of making: write a ..., schreibe ein ..., 写一个 ..."""


_COURTESY: Final = (
    "please|kindly|can you|could you|would you|will you|i want you to|i need you to|i'd like you to|i would like you to|"
    "i want to|i need to|i'd like to|i need|i want|you must|you should|you will|you are to|you are asked to|your task is to|"
    "your job is to|the task is to|help me to|help me|let's|now_|then_|first_|next_|and_|also_|carefully|briefly|quickly|just_|"
    "how do i|how can i|how should i|how would i|how do you|how to|por favor|puedes|puede_|me puedes|podrías|necesito que|"
    "necesito|quiero que|quiero|tu tarea es|ayúdame a|s'il te plaît|s'il vous plaît|peux-tu|pourrais-tu|pouvez-vous|"
    "pourriez-vous|merci de|veuillez|aide-moi à|j'ai besoin d|il me faut|bitte|kannst du|könntest du|können sie|könnten sie|"
    "würdest du|hilf mir|deine aufgabe ist es|ich brauche|ich möchte|mir_|mal_|uns_|você pode|pode_|poderia|preciso que|"
    "preciso de|per favore|puoi|potresti|vorrei|请你|请|帮我|麻烦你|麻烦|帮忙|能否|能不能|可以|你能|我想要|我想|我需要"
)

_LEAD_INS: Final = (
    "read_|take_|review the|consider_|look at|study_|act as|you are a|given_|using_|with_|from_|based on|in_|as_|for_|hi_|"
    "hello|hey_|dear_|hola|según|lee_|con_|salut|bonjour|selon|d'après|lis_|dans_|hallo|aus_|lies_|in_|nach_|olá|ciao|根据|把|将|从|对|给|阅读|用|使用"
)
"""What may stand before an instruction, up to a comma or an "and"; in Chinese, right before the verb."""

_MAKING: Final = (
    "write|compose|create|generate|draft|give me|give us|make_|make me|produce|provide|prepare|tell me|tell us|build|develop|"
    "code_|pen_|escribe|escriba|redacta|crea_|cree_|genera_|haz_|hazme|cuéntame|dame_|compón|écris|écrivez|rédige|crée|créez|"
    "génère|fais_|faites|raconte|donne-moi|schreib|verfasse|erstelle|erzähl|generiere|mach_|mache_|gib mir|entwirf|entwickle|formuliere|"
    "escreva|crie_|gere_|faça|conte_|scrivi|fai_|raccontami|编写|创作|生成|写|编|做|讲|起草|设计|来"
)

_HARMFUL: Final = (
    "toxic|hate_|hateful|offensive|abuse_|abusive|harass|insult|bully|threaten|threat_|profan|obscen|inappropriate|unsafe|violat|"
    "nsfw|self-harm|violent|violence|racis|sexist|harmful|allowed under|allowed on|safe for|safe or|guidelines|against our|ok to publish|"
    "ofensiv|amenaza|tóxic|odio_|acoso|nuestras normas|normas de|offensant|haineu|injur|menaç|menace|harcèlement|enfrei|"
    "contraire à nos|nos règles|beleidig|hass|hetz|drohung|toxisch|anstößig|belästig|gegen die regeln|unsere regeln|richtlinien|ódio|assédio|ingiuri|"
    "minacc|辱骂|侮辱|仇恨|违规|违反|攻击性|暴力|色情|骚扰|不当|有害|有毒|威胁|誹謗|攻撃的|不適切"
)

_LANGUAGE: Final = (
    "english|french|german|spanish|italian|portuguese|chinese|mandarin|japanese|korean|russian|arabic|dutch|polish|turkish|"
    "hindi|swedish|greek|czech|latin_|ukrainian|hebrew|vietnamese|thai_|danish|finnish|norwegian"
)

_CODE: Final = (
    "code_|function_|functions_|script_|snippet|sql_|regex|python|javascript|typescript|java_|rust_|golang|php_|ruby_|kotlin|swift_|"
    "bash_|powershell|dockerfile|pandas|numpy|react_|html|css_|unit test|stored procedure|c++|c#|query_|bug_|error_|compile|"
    "función|código|consulta_|fonction_|programme_|requête|funktion|skript|quellcode|abfrage|fehler_|funzione|codice|função|代码|函数|脚本|程序"
)

_FACET: Final = (
    "sentiment|intent_|intent of|emotion_|categor|topic_|genre|tone_|tone of|polarity|priority|urgency|label_|stance|sentimiento|intención|"
    "tema_|prioridad|catégor|intention|thème|priorité|kategorie|absicht|stimmung|thema_|priorität|tonfall|positiv|negativ|spam_|sarcas"
)

_FACTS: Final = (
    "names_|name of|all names|dates|entit|address|e-mail|email|phone|numbers_|people mentioned|person mentioned|companies|organization|"
    "organisation|locations|places mentioned|cities|urls|links|amounts|prices_|keyword|key phrase|skills|ingredient|medic|mentioned|"
    "in the text|in the following|in this text|in the passage|from the text|from this text|from the following"
)

CUES: Final = (
    Cues(
        task="moderate",
        asks=(
            Ask(
                "is_|are_|does_|do_|could_|would_|should_|check|classify|label_|decide|determine|rate_|detect|identify|assess|evaluate|"
                "flag_|review_|judge|say if|score_|report_|tell me if|tell me whether|es_|son_|contiene|incumple|indica|determina|comprueba|"
                "detecta|dime si|verifica|ce_|cet_|cette_|est-ce|détermine|vérifie|indique|dis-moi|détecte|ist_|sind_|enthält|verstößt|"
                "prüf|überprüf|entscheide|erkenne|判断|检查|检测|识别|是否|有没有|这|以下",
                _HARMFUL,
            ),
            Ask(
                "should we|should i|should this|do we|can we|can this|may this|would you|darf_|soll_|sollte|dürfen|podemos|debemos|"
                "se puede|on_|peut-on|faut-il|doit-on|能不能|该不该|要不要|应该|这条",
                "approve|remove_|remove this|take down|take this down|ban_|hide_|leave it up|stay up|publish_|stehen bleiben|stehen lassen|"
                "gelöscht|löschen|freigeben|sperren|publicar|borrar|eliminar|supprim|publie|retir|modér|过审|审核|删除|封号|禁言",
            ),
        ),
        orders="moderate_|moderation_|modère|modérez|modera_|moderiere|审核",
    ),
    Cues(
        task="code",
        asks=(
            Ask(
                "optimize|optimise|review_|explain|document_|comment_|test_|port_|convert|translate|rewrite|complete_|simplify|improve|"
                "speed up|add_|fix_|find the|what does|what is wrong|what's wrong|explica_|corrige|explique|erklär|optimiere|behebe|解释|优化|修复|修改",
                _CODE,
            ),
        ),
        orders="implement|refactor|debug|programmier|implémente|调试|重构|实现",
        products=(
            "function_|functions_|script_|query|queries|regex|regular expression|class that|class for|unit test|test case|dockerfile|makefile|"
            "algorithm|endpoint|parser|sql_|code_|snippet|macro_|program that|program to|web page|webpage|python|javascript|typescript|bash_|api_|"
            "función|consulta_|programa que|programa en|clase_|código|expresión regular|fonction|requête|programme qui|"
            "programme en|expression régulière|~funktion|~skript|~abfrage|programm_|klasse_|regulären ausdruck|função|codice|funzione|"
            "函数|脚本|程序|代码|查询|正则|算法|sql|関数|スクリプト"
        ),
    ),
    Cues(
        task="translate",
        asks=(
            Ask(
                "put_|render|convert|turn_|rephrase|rewrite|say_|what is|what's|what does|i need|i want|have_",
                "@",
            ),
            Ask("you are|act as|you're", "translator|traductor|übersetzer|traducteur"),
        ),
        orders=(
            "translat|traduce|traduci|traduzca|traduis|traduire|traduz|tradutor|übersetz|uebersetz|翻译|译成|how do you say|how would you say|"
            "how do i say|how can i say|wie sagt man|wie sage ich|cómo se dice|cómo digo|cómo dirías|comment dit-on|comment dire|como se diz|come si dice|"
            "auf englisch|auf deutsch|auf französisch|auf spanisch|auf chinesisch|ins englische|ins deutsche|en anglais|en français|en espagnol|"
            "en allemand|en inglés|al inglés|localize|localise"
        ),
        products="translation|traducción|traduction|übersetzung|译文",
    ),
    Cues(
        task="classify",
        asks=(
            Ask(
                "assign|predict|detect|identify|determine|decide|recognize|recognise|analyze|analyse|rate_|find_|pick_|choose|select_|output|evaluate|"
                "return_|tell me|what is|what's|what_|which_|guess|determina|identifica|indica|detecta|analiza|asigna|evalúa|cuál es|qué_|a qué|"
                "détermine|identifie|indique|détecte|attribue|assigne|évalue|quel est|quelle est|à quel|ordne|weise|bestimm|erkenne|"
                "ermittle|analysiere|welche|zu welcher|ist_|wie ist|is_|are_|does_",
                _FACET,
            ),
            Ask("sort_|group_|route_|triage", "into_|to_|by_"),
            Ask("判断|识别|分析", "情感|类别|类型|意图|属于|正面|还是|主题"),
            Ask("给", "分类|打标签"),
        ),
        orders=(
            "classif|categoriz|categoris|catégoris|clasific|klassifi|kategorisi|etiquet|étiquet|classe_|classer_|classez_|label_|tag_|分类|归类|标注|打标签|"
            "which category|which team|which department|which queue|which label|which of these|which of the following|pick one|choose one|to which"
        ),
    ),
    Cues(
        task="summarize",
        orders=(
            "summari|sum up|condense|tl;dr|tldr|recap_|shorten|boil this|boil the|boil it|boil down|distil|abridge|outline the main|outline the key|cut this|cut it|"
            "catch me up|brief me|in short|in brief|what are the key|what are the main|what's the gist|what is the gist|résum|resum|sintetiza|synthétis|riassum|fass_|fasse_|fassen_|"
            "fasst_|zusammenfass|kürze_|kürzen_|das wichtigste|die wichtigsten|l'essentiel|lo esencial|lo más importante|en pocas palabras|en résumé|en bref|"
            "总结|概括|归纳|概述|摘要|提炼|长话短说|简述"
        ),
        products=(
            "summary|synopsis|abstract_|recap_|tl;dr|tldr|overview of|digest_|gist_|short version|shorter version|résumé|synthèse|resumen|síntesis|zusammenfassung|kurzfassung|resumo_|riassunto|"
            "sintesi|摘要|总结|概要|概述"
        ),
    ),
    Cues(
        task="extract",
        asks=(
            Ask("find_|find all|list_|identify|locate|collect|highlight|identifica|identifizier", _FACTS),
            Ask(
                "get_|give me|name_|which_|what_|who_",
                "mentioned|appear_|in the text|in the following|in this text|in the passage|in the document|in the article|in this mail|in this email|from the text|from the following",
            ),
            Ask(
                "what is the|what's the|what are the",
                "number in|number on|date in|amount in|total in|name in|address in|price in|deadline in",
            ),
            Ask(
                "return_|output|give me|respond with|produce|provide|convert|turn_|put_|fill_",
                "json|csv_|table_|spreadsheet",
            ),
            Ask("列出|识别", "所有|全部|出现|提到|实体|人名|地名"),
        ),
        orders=(
            "extract|extrae|extrai|extraer|extrahier|extray|extraiga|pull out|pull all|pull the|pull every|parse the|parse this|estrai|entnimm|entnehme|"
            "encuentra todos|encuentra todas|lista todos|lista todas|lista los|lista las|enumera|identifica todos|identifica todas|identifica los|"
            "identifica las|busca todos|saca_|relève|repère|recense|récupère|liste tous|liste toutes|liste les|trouve tous|trouve toutes|trouve les|identifie les|identifie tous|"
            "liste alle|finde alle|nenne alle|gib alle|gib mir alle|suche alle|identifiziere alle|markiere alle|zieh_|ziehe_|liste todos|liste todas|encontre todos|"
            "elenca|trova tutti|trova tutte|individua|提取|抽取|找出|摘出|挑出"
        ),
    ),
    Cues(
        task="reason",
        asks=(
            Ask("how many|how much", "left_|altogether|in total|remain|each_|have_"),
            Ask(
                "who_|which of them",
                "tells the truth|lying|tallest|oldest|youngest|fastest|heaviest|came first",
            ),
            Ask(
                "is it|which is|what is|would it be|is buying|is renting",
                "cheaper|better value|break-even|probability|expected value|more likely",
            ),
        ),
        orders=(
            "solve_|prove_|prove that|disprove|calcul|compute_|deduce|derive_|work out|figure out|integrate_|differentiate|factor_|factorize|factorise|explain why|explain step|"
            "show that|think step|think through|think carefully|compare_|weigh_|find the value|find the probability|find the sum|find the derivative|"
            "find the area|find the volume|find the root|find the next|find the smallest|find the largest|find the missing|find the minimum|"
            "find the maximum|find the limit|what is the next number|what is the value of|what is the sum|what is the area|what is the square|"
            "what is the derivative|what is the remainder|what is the probability|evaluate the integral|evaluate the limit|resuelve|demuestra|razona_|"
            "halla_|résou|démontr|prouve|montre que|berechne|beweis|löse_|lös_|zeige, dass|zeig, dass|begründe|resolva|demonstre|risolvi|calcola|dimostra|"
            "计算|证明|求解|求|解方程|推理|推导|解释为什么"
        ),
    ),
    Cues(
        task="creative",
        asks=(
            Ask(
                "suggest|propose|give me|think of|name_|find_|想|起|取",
                "names for|name for|titles|slogan|ideas for|tagline|个名字|名字|口号|标题",
            ),
        ),
        orders=(
            "compose_|brainstorm|invent_|imagine_|come up with|make up|rewrite|reescribe|réécris|continue the story|continue this story|dichte_|dicht mir|erfinde|"
            "denk dir|inventa_|imagina_|invente_|续写|创作|改写|润色"
        ),
        products=(
            "poem|story|stories|tale_|haiku|limerick|sonnet|song_|lyrics|verse|ballad|joke|riddle|essay|blog|article|letter|e-mail_|email_|speech|"
            "dialogue|monologue|scene|slogan|tagline|title for|headline|caption|advert|ad_|description|bio_|toast|novel|chapter|names for|ideas for|"
            "invitation|press release|newsletter|screenplay|introduction|rap_|poema|cuento|historia|canción|relato|carta_|correo|eslogan|chiste|"
            "ensayo|artículo|novela|anuncio|discurso|poème|histoire|conte_|chanson|haïku|nouvelle|lettre|courriel|blague|discours|annonce|~gedicht|"
            "~geschichte|märchen|~lied_|~brief_|witz|~rede_|aufsatz|artikel|szene|dialog_|krimi|anzeige|poesia|storia|racconto|canzone|filastrocca|"
            "conto_|canção|诗|故事|小说|歌词|散文|文章|邮件|一封|广告|口号|标语|笑话|剧本|演讲|文案|作文"
        ),
    ),
)

PICTURED: Final = (
    "~data:image|~<image|~[image|~.png|~.jpg|~.jpeg|~.webp|~.gif|this image|attached image|image below|in the image_|from the image_|"
    "this photo|attached photo|in the photo_|from the photo_|this picture|in the picture_|this screenshot|the screenshot|attached screenshot|"
    "esta imagen|en la imagen|esta foto|en la foto_|cette image|sur l'image_|dans l'image_|cette photo|sur la photo_|diesem bild|dieses bild|dem bild_|diesem foto|"
    "dieses foto|dem foto_|这张图|这张照片|这张相片|这幅图|图片中|图片里|照片中|照片里|照片上|图中|图里|上图|看图|截图|この画像|この写真|esta imagem|questa immagine|questa foto"
)
"""What only a model that sees can answer: words anywhere, before all else."""

_PICTURE_HINTS: Final = r"mage|MAGE|hoto|HOTO|ictur|creensho|\.png|\.PNG|\.jp|\.JP|\.webp|\.gif|foto|Foto|Bild|bild|图|照片|画像|写真"


class _Evidence:
    """One kind of evidence for all tasks: one search a text, then a look at what was found.

    Texts repeat what it finds, so that telling which task it speaks for is done once a wording.
    """

    _REMEMBERED = 20_000
    """Wordings; a text has at most a few hundred characters of them."""

    def __init__(self, every: str, each: dict[str, str]) -> None:
        """`every` finds what any of `each`, an expression for a task, finds."""
        self._every = ascii_boundaries(every)
        self._task = pl.coalesce(
            pl.when(pl.col("found").str.contains(ascii_boundaries(f"^(?:{one})$"))).then(pl.lit(task))
            for task, one in each.items()
        )
        self._known: dict[str | None, str | None] = {None: None}

    def tasks(self, texts: pl.Series) -> pl.Series:
        """The task that the earliest evidence in each text speaks for, null where there is none."""
        found = texts.str.extract(self._every, 0)
        wordings = found.unique()
        told = wordings.to_list()
        if len(self._known) >= self._REMEMBERED:
            self._known = {None: None}
        if new := [wording for wording in told if wording not in self._known]:
            self._known.update(self._learnt(new))
        spoken_for = pl.Series([self._known[wording] for wording in told], dtype=pl.String)
        return found.replace_strict(wordings, spoken_for)

    def _learnt(self, found: list[str | None]) -> dict[str | None, str | None]:
        wordings = pl.DataFrame({"found": found}, schema={"found": pl.String})
        return dict(zip(found, wordings.select(self._task).to_series(), strict=True))


_LANGUAGES: Final = "|".join(f"{to} {name}" for to in ("in", "into", "to") for name in _LANGUAGE.split("|"))


_GREETING: Final = "(?:(?i:hi|hello|hey|good morning|hola|buenos días|hallo|guten tag|salut|bonjour|ciao|olá)[^.!,\\n]{0,16}[.!,]\\s*)?"
"""A greeting before an instruction does not make it conversation."""


class _Script(Struct, frozen=True, kw_only=True):
    """How clauses are written. One automaton for all scripts would be too large."""

    wide: bool
    """Chinese characters and kana, or letters."""
    gap: str
    """The rest of a clause, as little of it as will do."""
    opens: str
    """What a sentence may begin with that is no word."""
    joins: str
    """What ends a lead-in."""

    def chosen(self, words: str) -> str:
        """Those of the words that are written in this script."""
        return in_script(words, wide=self.wide)

    def lead(self) -> str:
        """What may stand between the beginning of a sentence and its instruction."""
        courtesy = words_as_one(self.chosen(_COURTESY), anywhere=False)
        lead_in = words_as_one(self.chosen(_LEAD_INS), anywhere=False) + self.gap + self.joins
        greeting = "" if self.wide else _GREETING
        return f"{self.opens}*{greeting}(?:(?:{courtesy}|{lead_in})[\\s,，]*)*"

    def instruction(self, cues: Iterable[Cues]) -> str:
        """Any instruction of these tasks: an ask, an order, or a verb of making and a product."""
        cues = tuple(cues)
        asks = [self._joined(ask.verbs, ask.objects) for one in cues for ask in one.asks]
        orders = self.chosen("|".join(one.orders for one in cues if one.orders))
        making = self._joined(_MAKING, "|".join(one.products for one in cues if one.products))
        return any_of([*asks, words_as_one(orders, anywhere=False), making])

    def _joined(self, verbs: str, objects: str) -> str:
        first, second = self.chosen(verbs), self.chosen(_LANGUAGES if objects == "@" else objects)
        return (
            words_as_one(first, anywhere=False) + self.gap + words_as_one(second) if first and second else ""
        )

    def evidence(self) -> _Evidence:
        """What an instruction that the text begins with tells."""
        lead = "^" + self.lead()
        each = {cues.task: lead + one for cues in CUES if (one := self.instruction([cues]))}
        return _Evidence(lead + self.instruction(CUES), each)


_LETTERS: Final = _Script(
    wide=False,
    gap=r"[^\n.!?:;]*?",
    opens=r"[\s\"“”„«»(\[*#>,\-0-9)¿¡]",
    joins=r"(?:,| and | then | y | et | und | e )",
)
_CHARACTERS: Final = _Script(
    wide=True,
    gap=r"[^\n。！？：；]*?",
    opens=r"[\s“”「『（(，、0-9]",
    joins="",
)

_Find: TypeAlias = Callable[[pl.Series], pl.Series]
"""Names the task of each text, null where it finds nothing."""

_RULED: Final = 0.92
"""How often a picture, or an instruction at the beginning, tells rightly what is asked of the sample requests."""


def guess(texts: pl.Series) -> Opinion:
    """The task that each text asks for, and how sure that is; null where nothing tells, or the text is null."""
    rest = pl.DataFrame({"row": pl.int_range(len(texts), eager=True), "text": _ends(texts)})
    tasks = pl.repeat(None, len(texts), dtype=pl.String, eager=True)
    for find in _finders():
        found = find(rest["text"])
        if found.null_count() == len(found):
            continue
        known = found.is_not_null()
        tasks = tasks.scatter(rest["row"].filter(known), found.filter(known))
        rest = rest.filter(~known)
    sure = pl.repeat(_RULED, len(texts), dtype=pl.Float64, eager=True)
    weighed = likeliest(texts.gather(rest["row"]))
    rows = rest["row"].gather(weighed["row"])
    tasks = tasks.scatter(rows, weighed["task"])
    return Opinion(tasks, sure.scatter(rows, weighed["confidence"]).set(tasks.is_null(), None))


def _ends(texts: pl.Series) -> pl.Series:
    """The opening and the ending of each text, or all of it."""
    text = pl.col("text")
    both = pl.concat_str(text.str.head(OPENING), text.str.tail(ENDING), separator=" … ")
    long = text.str.len_chars() > OPENING + ENDING
    return texts.alias("text").to_frame().select(pl.when(long).then(both).otherwise(text)).to_series()


@functools.cache
def _finders() -> tuple[_Find, ...]:
    """The searches in their order. Made when first asked for: they take longer to make than most modules to load."""
    return (
        functools.partial(_pictured, pictured=ascii_boundaries(words_as_one(PICTURED))),
        functools.partial(_in_characters, evidence=_CHARACTERS.evidence()),
        _LETTERS.evidence().tasks,
    )


def _pictured(texts: pl.Series, *, pictured: str) -> pl.Series:
    """A search for a few short literals is many times faster than the list, so it chooses where to look."""
    nothing = pl.repeat(None, len(texts), dtype=pl.String, eager=True)
    hinted = texts.str.contains(_PICTURE_HINTS).arg_true()
    if hinted.is_empty():
        return nothing
    vision = hinted.filter(texts.gather(hinted).str.contains(pictured))
    return nothing.scatter(vision, pl.repeat(VISION, len(vision), dtype=pl.String, eager=True))


def _in_characters(texts: pl.Series, *, evidence: _Evidence) -> pl.Series:
    found = pl.repeat(None, len(texts), dtype=pl.String, eager=True)
    rows = texts.to_frame("text").select(is_wide()).to_series().arg_true()
    return found if rows.is_empty() else found.scatter(rows, evidence.tasks(texts.gather(rows)))
