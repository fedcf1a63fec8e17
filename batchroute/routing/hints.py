# ruff: noqa: RUF001 - full-width punctuation is what Chinese and Japanese are written with
"""Weak evidence of a task: what no text says outright adds up. For texts that hold no instruction that is known.

A linear model with few features and weights written by hand: words that occur, each once, and shapes of the text.
"""

import functools
from collections.abc import Sequence
from typing import Final

import polars as pl
from msgspec import Struct

from batchroute.routing.words import ascii_boundaries, in_script, words_as_one

LEAST: Final = 0.8
"""What the hints must come to; below that nothing is said."""

_SHORT: Final = 0.4
"""What it weighs that a text is short."""

_PARTS: Final = 100
"""Weights are added in hundredths: sums of floats depend on their order."""

_PERSONAL: Final = 0.35
"""Persons talk in many requests: each such word weighs little."""

HINTS: Final = {
    "reason": (
        "how long|how far|how old|how fast|how many|how much|what time|what weekday|which day|weekday|total_|total weight|per hour|"
        "per day|per week|per month|average|remainder|divided by|division|percent|twice as|half of|double|triple|cheaper|worth it|"
        "series|sequence|reason it|reason through|why does|why do_|why is|why are|counterexample|assume|suppose|infer|statistically|"
        "significant|difference between|ratio|trade-off|invariant|dilemma|deduction|argument_|equation|formula|graph_|"
        "at least how|lowest|highest|possible to|impossible|which limits|weighed|km/h|mph|"
        "cuánto|cuánta|cuesta|sale mejor|por qué|al día|litro_|kilómetro|euros cada|combien|quel est le reste|reste de la|partagent|"
        "deux fois plus|pourquoi|les étapes|de plus que|de moins que|wie viel|wie lange|wie oft|wann kommt|velocidad media|a qué velocidad|lohnt sich|rechne|pro monat|pro tag|warum|"
        "doppelt so|insgesamt|quanto_|quanti_|quante_|perché|ore_|porquê|quantos|为什么|规律|几天|星期几|多久|多长|一共|还剩|每天|每小时|概率|数列|"
        "最多|最少|哪个更|划算|是否成立|假设|なぜ|何分|何時間|何人|合計|"
        "riddle|puzzle|premise|conclusion|follows from|follow from|logically|contradiction|syllogism|probability|chance of|chances of|odds of|overtake|"
        "catches up|in total|altogether|left over|each costs|costs one|share the|fill a|still hold|together?|price of the|which weighs|which is heavier|"
        "which is longer|which is cheaper|what day|minutes a|hours a|switches|knight_|liar_|prime_|square root|triangle|angle_|area of|volume of|interest rate|"
        "at what time|when will|prove that|proof_|by contradiction|welcher tag|welcher wochentag|wahrscheinlich|rätsel|logisch|beweis|folgt daraus|"
        "schlussfolger|durchschnitt|prozent|holt er|probabilidad|acertijo|demuestra|se deduce|promedio|qué día|probabilité|énigme|démontre|déduire|moyenne|"
        "à quelle heure|pourcentage|quel jour|说谎|真话|证明|推理|追上|平均|剩下|几个?|多少|能否推出|逻辑|确率|証明|なぞ"
    ),
    "creative": (
        "write_|headline|subject line|slogan|campaign|obituary|birthday|greeting card|funny|humor|humour|rhym|puns|wordplay|poem|play for|"
        "short play|scene|character|product copy|marketing copy|back of a|blurb|motto|one-liner|invented|in the voice of|as a letter|love letter|"
        "farewell|sentence that uses|uses every|six word|six-word|a story|anecdote|wedding|congratulat|menu description|invitation|"
        "lustig|zweizeiler|spruch_|wortspiel|namen für|briefwechsel|formuliere|glückwunsch|einladung|geburtstag|ausdenken|slogan für|"
        "reformule|aimable|quadra_|verso_|texto para|felicitación|divertid|drôle|faire-part|carte pour|dédicace|invitación|dedicatoria|"
        "filastrocca|biglietto|广告语|朋友圈|公众号|文案|写一|写条|写段|写个|开头|祝福|祝贺|标题|取名|起个|对联|川柳|俳句|作って|考えて|詩を|"
        "limerick|haiku|ballad|sonnet|lyrics|song about|a song|fairy tale|bedtime|fable|toast for|tagline|jingle|witty|catchy|playful|whimsical|names for|"
        "name for|name ideas|ideas for a|story|plot_|plot twist|finish the story|continue the|opening line|first line of|monologue|dialogue between|imagine|"
        "as if you were|as if a_|in the style of|pirate|fictional|character who|gedicht|märchen|geschichte über|kurzgeschichte|reim_|krimi|dialog zwischen|"
        "namensideen|einfälle|stell dir vor|poema|cuento|historia sobre|eslogan|rima_|canción|adivinanza|inventa|imagina|poème|histoire pour|conte pour|"
        "petite histoire|imagine_|chanson|invente|nom pour|noms pour|une histoire|poesia|storia|古诗|一首|故事|谜语|小说|剧本|歌词|顺口溜|名字|物語|小説|キャッチコピー"
    ),
    "moderate": (
        "comment_|comment:|comments_|posted|post:|policy|rule_|rules_|rule?|allowed|ok or|or flag|flag_|filter_|filter:|pre-check|for printing|removed|be removed|"
        "hide_|hidden|blanked|blank out|redact|personal data|reported|defam|libel|insult|accus|criticism|respectful|code of conduct|"
        "be kind|human first|escalate|safeguard|self-harm|violates|moderat|taken down|takedown|appeal_|banned|suspend|warn the|trolls|"
        "hostile|doxx|slander|impersonat|scam_|prejudice|"
        "approvare|regola_|regole|commento|comentario|comentário|publicarlo|publicar|marcar|denuncia|filtro|normas|insulto|crítica|preconceito|"
        "masquer|insulte|publication|signalé|signalement|règle|charte|modérat|commentaire|décision motivée|propos_|kommentar|beitrag|beiträge|"
        "gemeldet|meldung|veröffentlich|beleidig|forenregel|hausordnung|löschen|anzeigen oder|评论|发布|违规|举报|隐私|广告?|像不像广告|屏蔽|这条消息|弹幕能|留言|拉黑|"
        "コメント|投稿|削除|"
        "stay on the|stay up|should it stay|can this stay|warn_|mute_|get us in trouble|netiquette|report this|reports this|keeps posting|home address|"
        "private photo|clown|slur|name-calling|abus|claim we cannot|cannot run|allowed to run|acceptable_|appropriate for|go too far|goes too far|"
        "cross the line|crosses the line|over the line|bleibt das|kann das so stehen|so stehen|zulässig|verstoß|verstöß|in ordnung oder|"
        "aceptable|permitido|se puede dejar|falta de respeto|amenaza|retirer|retiré|acceptable|tolér|menace|dérape|trop loin|要不要删|该不该|手机号|人肉|是否允许|算不算|合规|能不能发|"
        "能发吗|不雅|谩骂|許され|違反|不適切"
    ),
    "extract": (
        "only the_|just the_|names of|name of|list each|list all|list every|phone number|numbers only|hashtag|dates_|date,|place_|"
        "quantity|amount_|amounts|unit_|owner|due date|contact fields|fields_|table of|spec table|pros and cons|version number|tracking|"
        "null if|not given|if stated|as stated|is stated|wording|one a line|one per line|which duties|time limit|from this|from the|out of this|in here?|does the text give|"
        "job title|e-mail,|phone,|reference number|order number|serial number|every item|all items|ingredients_|deadline|dosage|measurement|"
        "nenne nur|marke_|größe|alle zahlen|nur die|welche daten|termine|beträge|namen_|namen aus|adresse|quels jours|quelles heures|quelle date|montant|"
        "adresse_|numéro|les noms|noms des|la liste|cita_|fecha|hora_|teléfono|ingrediente|alérgeno|en lista|en liste|nombres de|importe|dirección|"
        "nomi_|data e_|importo|nomes|datas|列出|日期|电话|金额|价格|姓名|地址|名称|有哪些|哪几|几点|时间地点|リスト|名前|日付|金額|"
        "who signed|who is the author|which day does|mentioned|mentions|does the label|does the ad|does the letter|does the contract|does the email|does it say|"
        "listed|appear in|appears in|named in|occur in|what dates|what names|which names|which companies|which cities|which people|which persons|pull out|"
        "pick out|invoice number|account number|iban|sender|recipient|allergen|as json|json please|into fields|as csv|csv_|in columns|kommen in dem|"
        "kommen darin|genannt|erwähnt|rechnungsnummer|welche personen|welche namen|welche orte|aparecen|menciona|figuran|qué fechas|qué nombres|cités|mentionn|"
        "apparaissent|figurent|quels noms|quels sont les noms|提到|出现了|挑出|找出来|哪些人|哪些公司|邮箱|号码|抽出|抜き出"
    ),
    "classify": (
        "category|categories|class_|labels_|label_|labelled|which of|which one|which type|which kind|yes or no|sí o no|oui ou non|ja oder nein|pick_|choose|assign|"
        "sort_|sort these|sort the|group_|rate_|rating|score each|sentiment|mood_|intent|motive|does the customer|is the customer|does this|opinion or|fact or|"
        "angry|priority|urgent|bucket|tag each|tag these|spam?|route this|what kind|what type|belongs to|true or false|one word|"
        "asigna|attribue|attribuez|clasifica|sortiere|rubrik|critère|note de|hecho_|opinión|tipo de|categoría|assegna|categoria|"
        "talla|motifs|ordne|zuordn|zuständigkeit|welche kategorie|einstuf|bewerte|quel type|à quelle|catégorie|priorité|positif|négatif|negativo|"
        "是不是|哪些是|属于|选一个|选一|栏目|归类|归到|分成|打分|类型|是否|按编号|修辞|どれ|分類|種類|"
        "question or|request or|feature request|bug report|spam or|ham_|fiction or|satisfied|dissatisfied|on a scale|scale of|sound happy|sound angry|"
        "sounds like|happy or|annoyed|formal or|casual|under politics|which department|which team|what department|which section|into which|put each|zufrieden|"
        "verärgert|welche abteilung|in welche|gehört diese|gehört das|einordnen|skala von|urgent ou|est-il urgent|dans quelle|quel service|satisfait|mécontent|"
        "queja|elogio|consulta_|satisfech|escala de|en qué|pertenece|好评|差评|还是|满意|哪个部门|属于体育|投诉|评级|ポジティブ|ネガティブ|どちら"
    ),
    "summarize": (
        "in one line|one line_|in one sentence|one sentence|in two sentences|two sentences|short version|did they decide|was decided|what's new|"
        "what happened|main point|meeting notes|from these notes|memo_|minutes of|three lines|verdict box|brief_|gist|in plain|actually say|"
        "decision memo|both agree|for someone who|who missed|key message|takeaway|overview|recap|"
        "en gros|il dit quoi|dix mots|mots maximum|en cristiano|qué dice|una frase|dos frases|nouveautés|deux phrases|une phrase|compte rendu|drei zeilen|"
        "zwei sätze|ein satz|protokoll|worum geht|kurz_|kurzfassung|resúmenes|el acta|puntos_|in breve|due frasi|em resumo|三步|简短|大意|一句|优缺点|总之|"
        "讲了|要点|主要|结论|精简|压缩|要するに|一言|"
        "too long|what's this about|what is this about|what is it about|the short of it|in a nutshell|nutshell|need to know|what did we agree|agreed on|"
        "key points|main idea|main message|bullets|bullet points|abstract of|an abstract|digest|condensed|headline version|bottom line|in short|briefly|"
        "worauf läuft|worum|kernaussage|ganz kurz|in kürze|stichpunkt|hauptaussage|de qué trata|de qué va|idea principal|en dos líneas|puntos clave|en resumen|"
        "idée principale|de quoi parle|de quoi il|points clés|en deux lignes|pour faire court|说了什么|主要说|重点|太长|概括|简单说|核心|ポイント|まとめ"
    ),
    "translate": (
        "in english|in german|in french|in spanish|in chinese|in japanese|in italian|in portuguese|english_|german_|french_|spanish_|portuguese|italian_|chinese_|"
        "japanese_|korean|polish_|dutch_|swedish|turkish|arabic|latin_|rendering|literal|translat|native speaker|sound natural|mean in|does it mean|"
        "chinois|anglais|allemand|espagnol|italien_|japonais|portugais|inglés|alemán|francés|chino_|portugués|italiano|polnisch|tschechisch|"
        "englisch|französisch|spanisch|italienisch|chinesisch|japanisch|türkisch|niederländisch|tedesco|inglese|francese|spagnolo|inglês|alemão|"
        "bedeutet|signifie|significa|pinyin|法语|英语|德语|日语|英文|日文|西班牙|韩语|法文|德文|什么意思|是什么意思|翻|英訳|日本語|英語|ドイツ語|訳し|訳して|"
        "what does it say|what does this say|the italian for|the french for|the german for|the spanish for|italian for|french for|german for|spanish for|"
        "english for|word for|version of the menu|subtitle|in polish|into polish|in russian|in korean|how would a native|foreign|dictionary|idiomatic|was heißt|"
        "auf polnisch|auf russisch|quiere decir|en italiano|en portugués|cómo se diría|veut dire|en italien|en chinois|怎么讲|用英文|译|中文|韩文|葡萄牙语|俄语|ドイツ語で|中国語"
    ),
    "code": (
        "script|api_|~http_|curl|wget|header|port_|server|container|ssl_|tls_|config|deploy|database|query|queries|thread|async|callback|"
        "linux|windows path|haskell|loop_|string_|bytes|array|method|exception|timeout|cache|syncs|wall-clock|json schema|endpoint|library|"
        "terminal|command line|shell|makefile|unit test|class_ that|pointer|compiler|merge conflict|branch_|webhook|crash|iterate|iterator|stack_|"
        "expression régulière|fichier_|serveur|fichero|línea a línea|servicio en|servidor|proceso_|datei_|befehl|skript|abfrage|datenbank|"
        "命令|端口|进程|脚本|报错|服务器|正则|内存|程序|接口|コマンド|エラー|関数|スクリプト|"
        "my loop|while iterating|for loop|while loop|one-liner|makefile_|access log|log file|pipeline|module not found|not found error|threads|mutex|"
        "counter_|in a folder|rename all|files in|permission denied|permissions|nginx|apache|403|404|500|localhost|off-by-one|binary search|heap_|"
        "time complexity|big o|hash map|hashmap|linked list|dictionary in|undefined|null_|nan_|console|browser|button click|event handler|package|dependency|"
        "dependencies|build fails|doesn't compile|won't compile|segfault|memory leak|stack overflow|race condition|unittest|mock_|variable|regexp|utf-8|"
        "encoding|json file|csv file|parse_|parser|rest api|http|backend|frontend|repository|rebase|postgres|sqlite|index on|primary key|schema_|"
        "spreadsheet formula|excel formula|vba|programme_|plante_|bucle|índice|compila|consola|servidor_|schleife|kompilier|fehlermeldung|absturz|stürzt|boucle|"
        "compilation|console_|控制台|列表|排序|循环|变量|前端|后端|按钮|网页|运行|安装|依赖|编译|缓存|多线程|バグ|関数が|ループ"
    ),
    "chat": (
        "recommend|favourite|favorite|what should i|should i|do you|are you|would you rather|who would win|tell me about yourself|feel_|feeling|bored|tired|lonely|"
        "advice|better to|hello|any tips|any ideas|good idea|my friend|my boss|my mum|my dad|my cat|my dog|weekend|cheer me|pep talk|pretend|let's_|role-play|"
        "antworte wie|dime algo|tú crees|qué opinas|qué harías|me recomiendas|que me|tu penses|tu préfères|dis-moi|j'ai envie|was meinst|findest du|"
        "glaubst du|hast du|magst du|erzähl|consigli|secondo te|o que achas|gostas|聊|陪我|心情|怎么办|推荐|你觉得|你喜欢|你会|扮演|好无聊|どう思|好き|おすすめ|"
        "vent_|just need to|worst day|talk to me|can't sleep|any good|pizza|tonight|weird to|so happy|so sad|excited|proud of|nervous|opinion on|how are things|"
        "your day|what do you think|what's your|girlfriend|boyfriend|husband|wife|neighbour|neighbor|my son|my daughter|toddler|puppy|movie|films to|langweil|"
        "was machst|entscheiden|traurig|glücklich|je m'ennuie|tu proposes|qué hago si|aburrid|triste|vecino|下雨|好玩|周末|不想|想聊|睡不着|开心|难过|寂し|暇"
    ),
}
"""Words that make a task more likely. They weigh one each, and one that stands in several lists speaks for all of them."""

PERSONS: Final = "i_|i'm|i've|my_|me_|you_|your_|we_|ich_|mein|mir_|du_|dein|yo_|mi_|tu_|te_|je_|j'ai|moi_|ma_|mon_|io_|mio_|mia_|eu_|meu_|minha|我|你|您|私|僕"
"""Persons: they make conversation a little more likely."""


class Shape(Struct, frozen=True):
    """How a text is built: an expression, and what it makes more or less likely by how much."""

    expression: str
    weights: dict[str, float]


_QUOTE: Final = '["“”«»„「『]'

SHAPES: Final = (
    # a heading without a verb, then the material: "names, dates: ..."
    Shape(rf"^[^\n.:：?？{_QUOTE[1:]}*,[^\n.:：?？]+[:：]\s?{_QUOTE}", {"extract": 1.5}),
    Shape(rf"^[^\n.:：?？{_QUOTE[1:]}*[:：]\s?{_QUOTE}", {"extract": 0.5}),
    # choices in brackets
    Shape(r"[(（][^()（）\n\"]+[,/、,][^()（）\n\"]+[)）]", {"classify": 1.0, "extract": 0.3}),
    # alternatives, then a question mark
    Shape(r"^[^\n.?？]+ (?:or|oder|ou|o) [^\n.?？]+[?？]", {"classify": 0.8, "moderate": 0.8}),
    # numbers and a question
    Shape(
        r"[0-9][^?？]*?[^0-9?？.,][0-9][^?？]*?[^0-9?？.,][0-9][^?？]*[?？]", {"reason": 1.6, "chat": -0.7}
    ),
    Shape(r"[0-9][^?？]*[?？]", {"reason": 0.6}),
    Shape(r"(?:[0-9]+[,，、] ?){3}", {"reason": 1.2}),
    Shape(r"[0-9]\s*[-+*/×÷^=<]\s*[0-9]|[0-9] ?%", {"reason": 0.8}),
    # how long the text that is wanted shall be
    Shape(
        r"[0-9]+(?: to [0-9]+| a [0-9]+| bis [0-9]+| à [0-9]+|-[0-9]+)? ?(?:words|wörter|wörtern|palabras|mots|parole|字|文字)",
        {"creative": 1.2, "summarize": 0.8},
    ),
    # what only programs hold
    Shape(
        r"`|[a-z]\.[a-z_]+\(|[a-z_]\([a-z_0-9, ]*\)|[;{]\s*\n|</[a-z]|[a-z]::[a-z]|select [^\n]+ from |[a-z]_[a-z]",
        {"code": 1.2},
    ),
    # material in quotes, or below
    Shape(
        rf"{_QUOTE}[^\n]{{15}}",
        {"chat": -1.2, "reason": -0.8, "extract": 0.4, "moderate": 0.4, "classify": 0.3},
    ),
    Shape(r"\n", {"chat": -0.6, "creative": -0.3, "extract": 0.3, "summarize": 0.3, "classify": 0.3}),
    Shape(r"^[^\n:：\"“«]*$", {"chat": 0.3}),
    Shape(r"[?？]\s*$", {"chat": 0.2, "reason": 0.3}),
)
"""Shapes are looked for in all texts that have no instruction, so they are few and short."""


GREETING: Final = (
    r"^[ \n\"“¡¿*]*(?:hi|hello|hey|good (?:morning|evening|afternoon|night)|thanks|thank you|what's up|how are you|hola|buen[oa]s|gracias|"
    r"cómo estás|salut|bonjour|bonsoir|merci|hallo|guten (?:tag|abend|morgen)|danke|servus|moin|olá|oi\b|bom dia|boa noite|"
    r"obrigad|ciao|buongiorno|grazie|你好|您好|早上好|晚上好|谢谢|嗨|こんにちは|ありがとう|おはよう)"
)
"""What begins so, holds no instruction and is short, is conversation."""

_CHAT_BYTES: Final = 400
"""Up to this length (UTF-8, so that a Chinese character weighs three) a greeting makes a text conversation."""

_SHORT_BYTES: Final = 110
"""Up to this length a text is a little more likely to be conversation."""


def weigh(texts: pl.Series) -> pl.Series:
    """The task that the hints in each text make likeliest, as a String Series; null where they come to little."""
    text = pl.col("text")
    greeted = (text.str.len_bytes() <= _CHAT_BYTES) & text.str.contains(_greeting())
    found = texts.alias("text").to_frame().select(pl.when(greeted).then(pl.lit("chat"))).to_series()
    rows = found.is_null().arg_true()
    return found if rows.is_empty() else found.scatter(rows, _weighed(texts.gather(rows)))


def _weighed(texts: pl.Series) -> pl.Series:
    """All texts at once. Weights are added as whole numbers, and of tasks that are as likely the first one is told:
    the same text has the same task in every run.
    """
    frame = texts.alias("text").to_frame().with_row_index("row")
    seen, sums, likeliest = _steps()
    scored = frame.select("row", *seen).join(_worded(frame), on="row", how="left", maintain_order="left")
    most = pl.max_horizontal(*HINTS).alias("most")
    return scored.select(sums).with_columns(most).select(likeliest).to_series()


def _worded(frame: pl.DataFrame) -> pl.DataFrame:
    """What the words of each text, each once, weigh together; texts without any are left out."""
    letters, characters = _extractors()
    wide = frame.filter(pl.col("text").str.len_bytes() > pl.col("text").str.len_chars() * 9 // 8)
    words = [
        some.select("row", pl.col("text").str.extract_all(extract).alias("word")).explode("word")
        for some, extract in ((frame, letters), (wide, characters))
    ]
    once = pl.concat(words).with_columns(pl.col("word").str.to_lowercase()).unique()
    weights = [pl.col(f"{task} words").sum() for task in HINTS]
    return once.join(_weights(), on="word").group_by("row").agg(weights)


@functools.cache
def _extractors() -> Sequence[str]:
    """All words in one search for letters, and in another for characters."""
    every = "|".join([*HINTS.values(), PERSONS])
    return [ascii_boundaries(words_as_one(in_script(every, wide=wide))) for wide in (False, True)]


def _parts(weight: float) -> int:
    return round(weight * _PARTS)


@functools.cache
def _steps() -> tuple[list[pl.Expr], list[pl.Expr], pl.Expr]:
    """Which shapes a text has; what each task comes to by them and the words; and the likeliest task."""
    text = pl.col("text")
    found = [(text.str.contains("(?i)" + shape.expression), shape.weights) for shape in SHAPES]
    found.append((text.str.len_bytes() <= _SHORT_BYTES, {"chat": _SHORT}))
    seen = [is_found.alias(f"shape {number}") for number, (is_found, _) in enumerate(found)]
    weighed = {
        task: [
            pl.col(f"shape {number}").cast(pl.Int32) * _parts(weights[task])
            for number, (_, weights) in enumerate(found)
            if task in weights
        ]
        for task in HINTS
    }
    sums = [pl.sum_horizontal(f"{task} words", *shapes).alias(task) for task, shapes in weighed.items()]
    told = pl.coalesce(pl.when(pl.col(task) == pl.col("most")).then(pl.lit(task)) for task in HINTS)
    return seen, sums, pl.when(pl.col("most") >= _parts(LEAST)).then(told)


@functools.cache
def _greeting() -> str:
    return "(?i)" + ascii_boundaries(GREETING)


@functools.cache
def _weights() -> pl.DataFrame:
    """What each word, as it is found, weighs for each task."""
    spelled = {task: _spelled(words) for task, words in HINTS.items()}
    persons = _spelled(PERSONS)
    words = sorted(persons.union(*spelled.values()))
    columns = {
        f"{task} words": [
            _parts(1.0 * (word in spelled[task]) + _PERSONAL * (task == "chat" and word in persons))
            for word in words
        ]
        for task in HINTS
    }
    return pl.DataFrame({"word": words, **columns}, schema_overrides=dict.fromkeys(columns, pl.Int32))


def _spelled(words: str) -> frozenset[str]:
    return frozenset(word.strip("~_") for word in words.split("|"))
