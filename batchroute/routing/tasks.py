# ruff: noqa: RUF001 - full-width punctuation is what Chinese and Japanese are written with
"""The shipped task patterns, and the guess they make: which kind of work a text asks for.

People put the instruction first or last, and the document between. So only the opening and the ending
of a text are read, and what reads like an instruction (a verb where a sentence begins) goes before
words that merely occur. Within one kind of evidence the earliest wins.

English, Chinese, Spanish, French and German throughout; Portuguese, Italian and Japanese for the
commonest wordings. `\\b` stands for an ASCII word boundary: the Unicode one is about fifty times slower
on text that is not ASCII. A verb or noun is written as its stem where that is safe.
"""

from typing import Final

import polars as pl
from msgspec import Struct

OPENING: Final = 240
"""Characters at the start of a text that are read."""

ENDING: Final = 120
"""Characters at its end that are read."""

_CHAT_BYTES: Final = 400
"""Up to this length (UTF-8, so that a Chinese character weighs three) a text may be conversation."""

_GAP: Final = r"[^\n.!?:;。！？：；]*?"  # the rest of a clause, as little of it as will do


class Cues(Struct, frozen=True, kw_only=True):
    """What gives one task away. All are regular expressions, searched without regard to case."""

    task: str
    orders: tuple[str, ...] = ()
    """Count where a sentence begins, after words of courtesy: imperatives and questions."""
    products: tuple[str, ...] = ()
    """Count where a sentence begins with a verb of making: write a ..., schreibe ein ..., 写一个 ..."""
    phrases: tuple[str, ...] = ()
    """Count as much as orders, anywhere."""
    signs: tuple[str, ...] = ()
    """Count where nothing above was found."""


_COURTESY: Final = (
    r"please|kindly|can you|could you|would you|will you|i(?:'d| would)? (?:want|need|like) (?:you )?to",
    r"you (?:must|should|will|are (?:asked )?to)|(?:your|the) (?:task|job|goal) is to|help me(?: to)?|let's|i need",
    r"now|then|first|next|and|also|carefully|briefly|quickly|just|how (?:do|can|should|would) (?:i|we|you)|how to",
    rf"(?:read|take|review|consider|look at|study|act as|you are) {_GAP}(?:and|then|,)",
    rf"(?:in|as|for|given|using|with|from|based on|hi|hello|hey|dear) {_GAP},",
    r"por favor|puedes?|me puedes?|podr[ií]as?|necesito que|quiero que|tu tarea es|ay[uú]dame a",
    r"s'il (?:te|vous) pla[iî]t|peux-tu|pourrais-tu|pouvez-vous|pourriez-vous|merci de|veuillez|aide-moi à",
    r"bitte|kannst du|könntest du|können sie|könnten sie|würdest du|hilf mir|deine aufgabe ist es|mir|uns",
    rf"(?:hola|en|con|según|lee|salut|bonjour|selon|d'après|lis|hallo|aus|lies|olá|em|ciao|in) {_GAP}(?:,| y | et | und | e )",
    r"você pode|pode|poderia|preciso que|per favore|puoi|potresti|vorrei che",
    r"请你?|帮我|麻烦你?|帮忙|能否|能不能|可以|你能|我想要?|我需要|根据[^。\n，]*?，",
    rf"(?:把|将|从|对|给|阅读|用|使用){_GAP}",
)

_MAKING: Final = (
    r"write|compose|create|generate|draft|give me|make|produce|provide|prepare|tell (?:me|us)|build|develop|code",
    r"escrib[ea]|redacta|cre[ae]|genera|haz(?:me)?|cu[eé]ntame|dame|compón",
    r"écri(?:s|vez)|rédigez?|créez?|génère|fais|faites|raconte|donne-moi",
    r"schreib|verfasse|erstelle|erzähle?|generiere|mach|gib mir|entwirf|entwickle|formuliere",
    r"escreva|crie|gere|faça|conte|scrivi|fai|raccontami",
    r"编写|创作|生成|写|编|做|讲|起草|设计",
)

_HARMFUL: Final = (
    r"(?:toxi|hate(?:ful)?\b|offensiv|abus(?:e|ive)\b|harass|insult|bully|threaten|profan|obscen|inappropriate|unsafe|"
    r"violat|nsfw|self-harm|violen(?:t|ce)\b|racis|sexist|graphic content|harmful|allowed under|safe (?:for|or|content)|"
    r"ofensiv|insult|amenaza|t[oó]xic|odio\b|acoso|viola (?:las|nuestras)|"
    r"offensant|haineu|injur|insult|toxique|menaç|menace|harcèlement|enfrein|contraire à nos|"
    r"beleidig|hass|hetze|drohung|toxisch|anstößig|belästig|gegen (?:die|unsere) [^\n.?]{0,20}?(?:regeln|richtlinien)|"
    r"ódio|assédio|offensiv|ingiuri|minacc|"
    r"辱骂|侮辱|仇恨|违规|违反|攻击性|暴力|色情|骚扰|不当|有害|有毒|威胁|誹謗|有害|攻撃的|不適切)"
)

_LANGUAGE: Final = (
    r"(?:english|french|german|spanish|italian|portuguese|chinese|mandarin|japanese|korean|russian|arabic|dutch|"
    r"polish|turkish|hindi|swedish|greek|czech|latin|ukrainian|hebrew|vietnamese|thai|danish|finnish|norwegian)\b"
)

_CODE: Final = (
    r"\b(?:code|function|script|snippet|sql|regex|python|javascript|typescript|java|rust|golang|php|ruby|kotlin|"
    r"swift|bash|powershell|dockerfile|pandas|numpy|react|html|css|unit tests?|stored procedure|c\+\+|c#|"
    r"función|código|fonction|programme|funktion|skript|quellcode|funzione|codice|função)"
)

_FACET: Final = (
    r"\b(?:sentiment|intent|emotion|categor|topic|genre|tone\b|polarity|priority|urgency|label|stance|"
    r"sentimiento|intención|tema\b|prioridad|catégor|intention|thème|priorité|"
    r"kategorie|absicht|stimmung|thema\b|priorität|tonfall|positiv|negativ)"
)

_FOUND_IN_TEXT: Final = (
    r"\b(?:names?|dates?|entit|address|e-?mails?|phone|numbers|people|person|compan|organi[sz]ation|locations?|places|"
    r"cities|urls?|links|amounts|prices|keywords?|key ?phrases|skills|ingredients|medic|mentioned|"
    r"from the|in the (?:text|following|passage|document|article|paragraph|email))"
)

CUES: Final = (
    Cues(
        task="moderate",
        orders=(
            r"moderat|modère|modérez|modera\b|moderiere|审核",
            rf"(?:is|are|does|do|could|would|should)\b{_GAP}{_HARMFUL}",
            (
                rf"(?:check|classify|label|decide|determine|rate|detect|identify|assess|evaluate|flag|review|judge|say|score|"
                rf"report|tell me (?:if|whether))\b{_GAP}{_HARMFUL}"
            ),
            rf"(?:es|son|contiene|incumple|indica|determina|comprueba|detecta|dime si|verifica)\b{_GAP}{_HARMFUL}",
            rf"(?:ce|cet|cette|est-ce|détermine|vérifie|indique|dis-moi|détecte)\b{_GAP}{_HARMFUL}",
            rf"(?:ist|sind|enthält|verstößt|prüfe|überprüfe|entscheide|erkenne)\b{_GAP}{_HARMFUL}",
            rf"(?:判断|检查|检测|识别){_GAP}{_HARMFUL}",
        ),
        phrases=(
            rf"(?:是否|有没有|包含|含有|是不是|算不算)[^。！？\n]*?{_HARMFUL}",
            r"hate speech|hassrede|discours haineux|discurso de odio|(?:harassment|community|content|our|forum|platform) (?:rules|policy|policies|guidelines)",
            r"(?:approve|keep|allow|publish|ban|block|leave)(?: it| this)?,? or (?:to )?(?:remove|reject|delete|hide|block|ban|flag|allow)|or a ban\b",
            r"(?:remove|reject|delete|hide|flag|block)(?: it| this)?,? or (?:to )?(?:approve|keep|allow|publish|leave)|ok or not\b|stay up\b|take (?:it|this) down",
            r"(?:publicar|borrar|borramos|dejar|dejamos|eliminar|aprobar|permitir)[a-z]*,? o (?:lo |la )?(?:dej|borr|elimin|rechaz|public|bloque)",
            r"(?:publie|supprime|garde|laisse)[a-z-]* ou (?:on )?(?:supprime|publie|bloque|retire|garde|laisse|rejette)",
            r"(?:freigeben|löschen|stehen lassen|sperren|zulassen) oder|stehen bleiben|stehen lassen|freigegeben werden|gelöscht werden",
            r"(?:通过|过)审|审核|删除还是|该不该删|要不要删|封号|禁言",
        ),
        signs=(
            r"\b(?:toxicity|content (?:moderation|policy)|guidelines|nsfw|profanity|slurs?\b|bullying|banter|trolling|moderator|moderación|modération|grooming)",
            r"\b(?:mobbing|beleidig|acoso|harcèlement|insult|insulto|cyberbull|scam or|gegen die regeln|schimpf|threat or|satire)",
            r"辱骂|违规|仇恨|低俗|引战|人身攻击|骚扰",
        ),
    ),
    Cues(
        task="code",
        orders=(
            r"implement|refactor|debug|programmier|implementa\b|implémente|implementiere|调试|重构|实现",
            (
                rf"(?:optimi[sz]e|review|explain|document|comment|test|port|convert|translate|rewrite|complete|simplify|"
                rf"improve|speed up|add|fix|what does|what is wrong with|explica|corrige|explique|optimise|erkläre|"
                rf"optimiere|behebe|解释|优化|修复)\b{_GAP}{_CODE}"
            ),
            r"fix (?:the |this |my |a )?(?:bug|error|test|query|compile|syntax)|behebe den fehler|corrige (?:el|l')erreur",
        ),
        products=(
            r"functions?\b|script|query|queries|regex|regular expression|class that|unit tests?|test cases?|dockerfile",
            r"makefile|algorithm|endpoint|parser|sql\b|code\b|snippet|macro|program (?:that|to|which)|web ?page",
            r"python|javascript|typescript|bash|api\b",
            r"función|script|consulta|programa (?:que|en|para)|clase\b|código|expresión regular",
            r"fonction|requête|programme (?:qui|en)|code\b|expression régulière",
            r"[a-z-]*(?:funktion|skript|abfrage|programm)\b|klasse\b|regul[aä]re[nr]? ausdruck",
            r"函数|脚本|程序|代码|查询|正则|算法|SQL",
            r"função|codice\b|funzione",
            r"関数|スクリプト",
        ),
        signs=(
            r"```|traceback \(most recent|stack ?trace|segmentation fault|\b[a-z]+(?:error|exception)\b|exception in thread|[a-z_]+\(\)|[a-z]\.[a-z]+\(|=>|[!=]==?|\{\}|\[\]|</[a-z]|::[a-z]",
            r"\n\s*(?:def [a-z_]+\(|class [a-z_]+[(:{]|import [a-z_]+|#include|public (?:class|static)|const [a-z_]+ =)|select (?:\*|[a-z_., ]+) from ",
            r"\b(?:python|javascript|typescript|golang|goroutine|sql\b|regex|pandas|dataframe|numpy|docker|kubernetes|kubectl|git\b|commit|unit tests?|pull request)",
            r"\b(?:c\+\+|node\.js|compil|bash\b|awk\b|sed\b|grep\b|cron\b|react\b|django|flask|postgres|mysql|rust\b|kotlin|java\b|php\b|css\b|html\b|api\b|endpoint|null pointer)",
            r"\b(?:function|función|fonction|funktion|método|variable|array|recursi|list comprehension|for loop|dictionary|deadlock|async\b|thread\b|repo\b|branch\b|npm\b|pip\b|nginx|terraform|yaml)\b",
            r"(?:コード|プログラム)を|代码|函数|报错|数据库|正则|线程|接口|编译|算法",
        ),
    ),
    Cues(
        task="translate",
        orders=(
            r"translat|tradu[czi]|traduz|übersetz|uebersetz|翻译|译成",
            rf"(?:put|render|convert|turn|rephrase|rewrite)\b{_GAP}\b(?:in|into|to) {_LANGUAGE}",
            r"how (?:do|would|can|should) (?:you|i|we) say|wie sagt man|cómo se dice|comment (?:dit-on|dire)|como se diz",
            rf"(?:what is|what's|what does)\b[^\n?]*? (?:mean )?in {_LANGUAGE}",
            rf"(?:you are|act as|you're)\b{_GAP}translator",
        ),
        products=(
            r"translation|traducción|traduction|[üu]e?bersetzung",
            r"译文",
        ),
        phrases=(
            r"翻译(?:成|为|一下|以下|下面|下列|这|到)|译(?:成|为|一下)|用[^。\n]{1,4}[语文](?:怎么说|说|表达|写)|[英法德日西]语(?:怎么|里)|[译翻]成|翻訳|英訳|和訳",
            rf"(?:kannst|könntest|können|könnten) (?:du|sie) [^\n.!?:]*?übersetz|locali[sz]e|\b(?:say|put|have|need|want) [^\n.?:]*?\bin {_LANGUAGE}",
            r"\b(?:german|french|spanish|english|italian|dutch|portuguese|chinese|japanese|korean|polish|russian) (?:version|translation|word|equivalent|subtitles|rendering)",
            r"\b(?:auf|ins|aufs|nach) (?:englisch|deutsch|französisch|spanisch|chinesisch|italienisch|japanisch|polnisch|niederländisch)",
            r"\b(?:al|en|del) (?:inglés|español|francés|alemán|chino|italiano|portugués|japonés)|(?:en|vers l'|vers le) ?(?:anglais|français|allemand|espagnol|chinois|italien)\b",
        ),
        signs=(
            rf"\b(?:in|into|to|for) {_LANGUAGE}",
            r"\btranslat|übersetz|traduc|tradui|翻译|译文|native speaker",
        ),
    ),
    Cues(
        task="classify",
        orders=(
            r"classif|categori|catégoris|clasific|klassifi|kategorisi|etiquet|étiquet|classe[rz]?\b|label\b|tag\b",
            (
                rf"(?:assign|predict|detect|identify|determine|decide|recogni[sz]e|analy[sz]e|rate|find|pick|choose|select|"
                rf"output|evaluate|return|tell me|what is|what's|what|which|guess)\b{_GAP}{_FACET}"
            ),
            rf"(?:is|are|does)\b{_GAP}\b(?:positive|negative|spam|a complaint|sarcas|urgent|phishing)",
            rf"(?:sort|group|route|triage)\b{_GAP}\b(?:into|to|by)\b",
            rf"(?:determina|identifica|indica|detecta|analiza|asigna|evalúa|cuál es|qué|a qué)\b{_GAP}{_FACET}",
            rf"(?:détermine|identifie|indique|détecte|analyse|attribue|assigne|évalue|quel(?:le)? est|à quel(?:le)?)\b{_GAP}{_FACET}",
            rf"(?:ordne|weise|bestimme|erkenne|ermittle|analysiere|welche[rsn]?|zu welcher|ist|wie ist)\b{_GAP}{_FACET}",
            r"分类|归类|标注|打标签|给[^。\n]{0,20}?(?:分类|打标签)|(?:判断|识别|分析)[^。\n]*?(?:情感|类别|类型|意图|属于|正面|还是|主题)",
        ),
        phrases=(
            r"which (?:of (?:these|the following) )?(?:categor|topics?|department|label|class\b|genre|team|queue|bucket|intent|folder)",
            r"(?:positive|negative|neutral|happy|angry),? ?(?:or|/|\|) ?(?:positive|negative|neutral|mixed|sad)|positiv[oae]?,? (?:oder|o|ou) n",
            r"(?:positive|negative|neutral|happy|angry), (?:positive|negative|neutral|angry|sad)|positi[fv][oa]?, n[eé]g",
            r"one of (?:these|the following) (?:categor|label|class|topic)|into one of|(?:one|single) (?:word|label|category)(?: only)?[.\n]",
            r"(?:reply|answer|respond) (?:only )?with (?:just |only )?(?:the |one |a )?(?:single )?(?:word|label|category|letter|number|queue|name of)",
            r"(?:the )?(?:label|category|queue|tag|class|intent)(?: name)? only|only the (?:label|category|tag)|options:|categories:|labels:|choices:",
            r"is (?:this|it) (?:a|an) [a-z -]+, (?:a |an )?[a-z -]+,? or |(?:es|ist|sind|c'est|est-ce) [a-zäöüéèà -]+, [a-zäöüéèà -]+,? (?:o|oder|ou) ",
            r"ob [^\n.?:]*?, [^\n.?:]*? oder [^\n.?:]*?(?:ist|handelt)|(?:una sola|eine?|un seul) (?:palabra|wort|mot)|nur (?:mit )?(?:dem|der) (?:label|kategorie|wort)",
            r"正面(?:还是|或|、|/)负面|情感(?:倾向|极性|分类)|属于(?:哪|什么|以下)|哪(?:个|一)?(?:类|种类|类别)|归类|分类|感情.*?(?:判定|分析)|分類",
            r"(?:是|属于)[^。？！\n]{1,8}、[^。？！\n]{1,8}还是|只(?:回答|输出|回)(?:一个)?(?:词|类别|标签|类|字)|打(?:上)?标签",
        ),
        signs=(
            r"\b(?:sentiment|categor[iy]|catégorie|kategorie|spam\b|labels?\b|sarcas|einordn|zuordn|intent\b|urgency|priorit|stimmung)",
            r"\b[a-zäöüéèà]+, [a-zäöüéèà]+(?: [a-zäöüéèà]+)?,? (?:or|oder|ou|o) (?:an? )?[a-zäöüéèà]+(?: [a-zäöüéèà]+)?\?",
            r"情感|类别|标签|还是[^。？\n]{1,8}？",
        ),
    ),
    Cues(
        task="summarize",
        orders=(
            r"summari[sz]|sum up|condense|tl;?dr|recap\b|shorten|boil (?:this|it|the)|distil|abridge|outline the (?:main|key)",
            r"résum|resum[ai]|resume (?:el|la|los|las|est|en|lo|o |a )|sintetiz|synthétis|riassum",
            r"what (?:are|were) the (?:key|main)|fass(?:e|en|t)?\b|zusammenfass|kürze\b|总结|概括|归纳|概述|摘要|提炼",
        ),
        products=(
            r"summary|synopsis|abstract|recap|tl;?dr|overview of|digest|résumé|synthèse|resumen|síntesis",
            r"zusammenfassung|kurzfassung|resumo|riassunto|sintesi",
            r"摘要|总结|概要|概述",
        ),
        phrases=(
            r"key (?:points|takeaways|findings)|main (?:points|ideas|takeaways|findings)|puntos clave|ideas principales|the gist|short(?:er)? version|bottom line",
            r"points clés|idées principales|kernaussagen|wichtigsten punkte|hauptpunkte|zusammenfass|l'essentiel|version courte|en bref\b|en quelques mots",
            r"boil [^\n.]*?down|cut (?:this|it) (?:down )?to|(?:down )?to (?:[0-9]+|five|three|ten|fifty) (?:words|bullets|sentences)|catch me up|brief me|in a nutshell|in brief\b",
            r"en pocas palabras|lo (?:esencial|más importante)|das wichtigste|in kürze|auf den punkt|kurz gesagt|kernpunkte|in (?:drei|zwei|einem) s[aä]tz|en (?:une|deux|trois) (?:phrase|ligne)",
            r"总结|概括|摘要|主要内容|要点|要約|まとめて|长话短说|大意|简述|核心(?:内容|观点)|讲了什么|说了什么|精简|一句话",
        ),
        signs=(
            r"\b(?:summary|executive|highlights|minutes\b|too long|in (?:one|two|three|five|[0-9]+) (?:short )?(?:sentence|words|bullet|line|points)|bullet points|stichpunkt|resumen|résumé)",
        ),
    ),
    Cues(
        task="extract",
        orders=(
            r"extra[cehi]|extray|extraire|pull (?:out|all|the|every)|parse (?:the|this|out)|estra[ier]|entnimm|entnehme",
            rf"(?:find|list|identify|locate|collect|highlight)\b{_GAP}{_FOUND_IN_TEXT}",
            rf"(?:get|give me|name|which|what|who)\b{_GAP}\b(?:mentioned|appear|in the (?:text|following|passage|document|article|paragraph|email)|from the (?:text|following))",
            rf"(?:return|output|give me|respond with|produce|provide|convert|turn)\b{_GAP}\b(?:json|csv|table)\b",
            r"(?:encuentra|lista|enumera|identifica|busca|localiza|señala) (?:tod[oa]s|los|las|cada)",
            r"relève|repère|recense|(?:liste|trouve|identifie|énumère)[rz]? (?:tou|les |chaque)",
            r"(?:liste|finde|nenne|gib|suche|identifiziere|markiere) (?:mir )?(?:alle|jede|sämtliche)|zieh",
            r"(?:liste|encontre|identifique) (?:todos|todas|os |as )|(?:elenca|trova|individua) (?:tutt|i |le |gli )",
            r"提取|抽取|找出|摘出|(?:列出|识别)[^。\n]{0,20}?(?:所有|全部|出现|提到|实体|人名|地名)",
        ),
        phrases=(
            r"mentioned in (?:the|this)|named entit|with (?:the )?(?:following )?(?:fields|keys|columns)\b|(?:as|to|into|in) (?:a )?(?:valid )?(?:json|csv|yaml)\b|table with",
            r"(?:only|just) (?:need |want |the |give me )*(?:name|date|total|amount|number|price|email|answers|figures|address)|who, (?:what, )?when",
            r"what(?:'s| is| are) the (?:[a-z]+ )?(?:number|date|amount|total|name|address|deadline|price)s? (?:in|on|of|from) (?:this|the)",
            r"(?:als|como|en|au format|in) (?:json|csv|tabelle|tabla|tableau)|(?:formato|format) json|los campos|les champs|die felder|stehen in (?:dies|dem|der)",
            r"提取|抽取|抽出|抜き出|整理成|挑出|(?:输出|返回|转)[^。\n]{0,6}?(?:json|表格)|字段",
        ),
        signs=(
            r"\b(?:json|csv|iban|fields|columns|key-value|order number|invoice number|tracking number|saca de|récupère|hole aus|entidades|entités)\b|\b(?:names|dates|amounts) (?:and|of)",
            r"姓名|电话|金额|日期|人名|地名|表格",
        ),
    ),
    Cues(
        task="reason",
        orders=(
            r"solve\b|prove\b|disprove|calcul|compute\b|deduce|derive\b|work out|figure out|integrate\b|differentiate|factori[sz]e",
            r"explain why|show that|think (?:step|through|carefully)|compare\b|weigh\b|what is (?:the probability|[0-9])",
            r"find the (?:value|probability|sum|derivative|area|volume|root|next|smallest|largest|missing|minimum|maximum|limit)",
            r"what is the (?:next number|value of|sum of|area|square root|derivative|remainder)|evaluate the (?:integral|limit)",
            r"resuelve|demuestra|razona\b|halla\b|résou|démontr|prouve|montre que|berechne|beweis|löse?\b|zeige,? dass|begründe",
            r"resolva|demonstre|risolvi|calcola|dimostra|计算|证明|求解|解方程|推理|推导|解释为什么",
        ),
        phrases=(
            r"step[- ]by[- ]step|paso a paso|étape par étape|schritt für schritt|passo a passo",
            r"show (?:your|the) (?:work|reasoning|steps)|explain your reasoning|chain of thought|riddle|puzzle|rätsel|acertijo|devinette|énigme|logic",
            r"how (?:many|much) [^\n?]*?(?:left|altogether|in total|remain|each\b|does [a-z]+ have|do they have)",
            r"who (?:tells the truth|is lying|is (?:the )?(?:second )?(?:tallest|oldest|first))|tells? the truth|(?:taller|older|younger|heavier|faster) than",
            r"(?:is it |which is )(?:cheaper|better value|faster|more likely)|break[- ]even|probability|the odds|on average|percent(?:age)? of|per cent",
            r"probabilidad|porcentaje|probabilité|pourcentage|wahrscheinlich|prozent|durchschnitt|más barato|moins cher|billiger|promedio|moyenne",
            r"一步一步|逐步|計算し|証明し|概率|真话|说谎|撒谎|至少需要|最少|平均|百分之|推理|为什么",
        ),
        signs=(
            r"[0-9](?s:.)*?(?:how (?:many|much|long|far|old|fast|high|often)|what (?:time|day|speed|does each)|each (?:pay|owe|get)|what is the (?:minimum|maximum))",
            r"[0-9](?s:.)*?(?:cuánt|a qué (?:velocidad|hora)|combien|quelle (?:heure|vitesse|distance)|à quelle|cheaper|worth it)",
            r"[0-9](?s:.)*?(?:wie (?:viel|lange|weit|alt|schnell|hoch|oft)|wann\b|quant[oiae]s?\b|多少|几[个只天小岁]|是多|いくつ|何[個人時])",
            r"[0-9]\s*[-+*/×÷^=]\s*[0-9]|if all\b|are all\b|follows? that|conclude|[0-9] ?%|always (?:even|odd|true)|why (?:does|do|did|would) (?:the|a|an|two|any|every|it)\b",
            r"\b(?:cuántos?|cuántas?|combien (?:de|faut)|wie ?viele?|wie oft muss|even number|odd number|square|triangle|integer|prime|fallacy|paradox|contradiction)\b",
        ),
    ),
    Cues(
        task="creative",
        orders=(
            r"compose\b|brainstorm|invent\b|imagine\b|come up with|make up|rewrite|reescribe|réécris|continue (?:the|this) (?:story|tale)",
            r"dichte\b|erfinde|denk dir|inventa\b|imagina\b|invente\b|续写|创作|改写|润色|suggest [^\n.?:]*?(?:names?|titles?|slogans?|ideas)",
        ),
        products=(
            r"poem|story|stories|tale\b|haiku|limerick|sonnet|song\b|lyrics|verse|ballad|joke|riddle|essay|blog|article|post\b",
            r"letter|e-?mail\b|speech|dialogue|monologue|scene|slogan|tagline|title for|headline|caption|advert|ad\b",
            r"description|bio\b|toast|novel|chapter|names for|ideas for|invitation|press release|newsletter|tweet",
            r"screenplay|introduction|rap\b",
            r"poema|cuento|historia|canción|relato|carta\b|correo|eslogan|chiste|ensayo|artículo|novela|anuncio|discurso",
            r"poème|histoire|conte\b|chanson|haïku|nouvelle|lettre|courriel|blague|discours|dialogue|annonce",
            r"[a-zäöü]*(?:gedicht|geschichte|märchen|lied\b|brief\b|witz|rede\b|aufsatz|artikel|szene|dialog|krimi|anzeige)",
            r"poesia|storia|racconto|canzone|filastrocca|conto\b|canção",
            r"诗|故事|小说|歌词|散文|文章|邮件|一封|广告|口号|标语|笑话|剧本|演讲|文案|作文",
        ),
        phrases=(
            r"in the style of|bedtime story|once upon a time|im stil von|al estilo de|dans le style|à la manière de|point of view of",
            r"(?:[0-9]+|two|three|four|five|six|eight|ten|twelve|some|a few) (?:[a-z]+ )?(?:names?|ideas|lines|titles|slogans|taglines|puns|jokes|verses|rhymes)",
            r"(?:opening|first|closing|last) (?:paragraph|line|sentence|scene|chapter|verse) of (?:a|an|my)|(?:a|some|the) (?:[a-z-]+ )?(?:toast|eulogy|limerick|sonnet|jingle) (?:that|for|about)",
            r"(?:詩|物語|俳句|小説|歌詞)を|(?:想|起|取)(?:一|几|两|三|五|十|个|些)[^。\n]{0,12}?(?:名|口号|标题)|[一两三四五]首|(?:写|编|来)(?:个|段|篇|句)",
        ),
        signs=(
            r"\b(?:poem|verse\b|verses\b|rhym|haiku|limerick|slogan|tagline|fairy ?tale|lyrics|monologue|sonnet|toast\b|jingle|ballad|plot twist|villain|protagonist)",
            r"\b(?:short story|love letter|screenplay|novel\b|metaphor|character who|narrator|eulogy|wedding speech|caption\b|brand name|dialogue between|invitation)",
            r"\b(?:versos?|rima|cuento|poema|microrrelato|eslogan|brindis|personaje|chiste|letra de|vers\b|rimes?\b|poème|conte\b|chanson|nouvelle de|personnage|blague)",
            r"\b(?:[a-z]*gedicht|[a-z]*vers[e]?\b|reim|[a-z]*geschichte\b|märchen|liedtext|trinkspruch|[a-z]*rede\b|witz|held\b|spruch|krimi|poesia|filastrocca|piada)",
            r"诗|故事|小说|歌词|段子|文案|口号|标语|对联|童话|台词|剧本|情书|祝福语|广告词|笑话|散文|俳句|物語",
        ),
    ),
)

PICTURED: Final = (
    *("data:image", "<image", "[image", ".png", ".jpg", ".jpeg", ".webp", ".gif"),
    *(
        "this image",
        "attached image",
        "image below",
        "the image",
        "this photo",
        "attached photo",
        "the photo",
    ),
    *("this picture", "the picture", "this screenshot", "the screenshot", "attached screenshot", "image_url"),
    *(
        "esta imagen",
        "la imagen",
        "esta foto",
        "la foto",
        "cette image",
        "l'image",
        "cette photo",
        "la photo",
    ),
    *("diesem bild", "dieses bild", "dem bild", "diesem foto", "dieses foto", "das foto", "das bild"),
    *(
        "图片",
        "照片",
        "图像",
        "这张图",
        "截图",
        "この画像",
        "この写真",
        "esta imagem",
        "questa immagine",
        "questa foto",
    ),
)
"""What only a model that sees can answer: a substring, ASCII letters in either case."""

_PICTURE_HINTS: Final = r"mage|MAGE|hoto|HOTO|ictur|creensho|\.png|\.PNG|\.jp|\.JP|\.webp|\.gif|foto|Foto|Bild|bild|图|照片|画像|写真"

CONVERSATION: Final = (
    r"^\W*(?:hi|hello|hey|good (?:morning|evening|afternoon|night)|thanks|thank you|what's up|how are you)\b",
    r"^\W*(?:hola|buen[oa]s|gracias|salut|bonjour|bonsoir|merci|hallo|guten (?:tag|abend|morgen)|danke|servus)\b",
    r"^\W*(?:olá|oi\b|bom dia|obrigad|ciao|buongiorno|grazie|你好|您好|早上好|晚上好|谢谢|嗨|こんにちは|ありがとう|おはよう)",
    r"how are you|cómo estás|ça va\b|wie geht|recom[ie]|empfehl|推荐|your favou?rite|what should i|do you (?:like|think)|can we talk",
    r"\b(?:i|i'm|my|me|you|your|we|yo|mi|tu|me|je|mon|ma|vous|moi|ich|mein|meine|du|dein|sie|wir|eu|io|mio)\b|我|你|您|私",
    r"[?？]\s*$",
)
"""Greetings and persons: they make a short text without an instruction conversation."""


class _Evidence:
    """One kind of evidence for all tasks: one search a text, then a look at what was found.

    All expressions are one automaton. Texts repeat what it finds, so that telling which task it speaks
    for is done once a wording.
    """

    _WORDINGS = 50_000  # remembered; more than shipped instructions have, less than a gigabyte of them

    def __init__(self, lead: str, expressions: dict[str, str]) -> None:
        self._any = _regex(f"{lead}(?:{'|'.join(expressions.values())})")
        self._task = pl.coalesce(
            pl.when(pl.col("found").str.contains(_regex(f"^(?:{lead}(?:{expression}))$"))).then(pl.lit(task))
            for task, expression in expressions.items()
        )
        self._known: dict[str | None, str | None] = {None: None}

    def tasks(self, texts: pl.Series) -> pl.Series:
        """The task that the earliest evidence in each text speaks for, null where there is none."""
        found = texts.str.extract(self._any, 0).to_list()
        if new := set(found).difference(self._known):
            if len(self._known) > self._WORDINGS:
                self._known = {None: None}
                new = set(found) - {None}
            self._learn(list(new))
        return pl.Series(map(self._known.__getitem__, found), dtype=pl.String)

    def _learn(self, found: list[str | None]) -> None:
        wordings = pl.DataFrame({"found": found}, schema={"found": pl.String})
        self._known.update(zip(found, wordings.select(self._task).to_series(), strict=True))


def _regex(expression: str) -> str:
    return "(?i)" + expression.replace(r"\b", r"(?-u:\b)")


def _any_of(fragments: tuple[str, ...]) -> str:
    """Words of the Latin alphabet begin where a word begins; others have no such boundary."""
    return "|".join(rf"\b(?:{words})" if words[0].isascii() else words for words in fragments)


_LEAD: Final = rf"[\s\"“”„«»‘(\[*#>,，、\-–0-9)]*(?:(?:{'|'.join(_COURTESY)})[\s,，]*){{0,3}}"


def _instruction(cues: Cues) -> str:
    making = rf"(?:{'|'.join(_MAKING)}){_GAP}(?:{_any_of(cues.products)})" if cues.products else ""
    return "|".join(filter(None, (*cues.orders, making)))


_INSTRUCTIONS: Final = {cues.task: _instruction(cues) for cues in CUES}
_BEGUN: Final = _Evidence("^" + _LEAD, _INSTRUCTIONS)
_LATER: Final = _Evidence(r"[\n.!?:;。！？：；¿¡]" + _LEAD, _INSTRUCTIONS)
_PHRASES: Final = _Evidence("", {cues.task: _any_of(cues.phrases) for cues in CUES if cues.phrases})
_SIGNS: Final = _Evidence("", {cues.task: "|".join(cues.signs) for cues in CUES})
_CONVERSATION: Final = _regex("|".join(CONVERSATION))


def guess(texts: pl.Series) -> pl.Series:
    """The task that each text asks for, as a String Series; null where nothing tells, or the text is null."""
    rest = pl.DataFrame({"row": pl.int_range(len(texts), eager=True), "text": _ends(texts)})
    tasks = pl.repeat(None, len(texts), dtype=pl.String, eager=True)
    for find in (_pictured, _BEGUN.tasks, _LATER.tasks, _PHRASES.tasks, _SIGNS.tasks, _conversational):
        found = find(rest["text"])
        known = found.is_not_null()
        tasks = tasks.scatter(rest["row"].filter(known), found.filter(known))
        rest = rest.filter(~known)
    return tasks


def _ends(texts: pl.Series) -> pl.Series:
    """The opening and the ending of each text, or all of it."""
    text = pl.col("text")
    both = pl.concat_str(text.str.head(OPENING), text.str.tail(ENDING), separator=" … ")
    long = text.str.len_chars() > OPENING + ENDING
    return texts.alias("text").to_frame().select(pl.when(long).then(both).otherwise(text)).to_series()


def _pictured(texts: pl.Series) -> pl.Series:
    """A search for a few short literals is many times faster than the list, so it chooses where to look."""
    hinted = texts.str.contains(_PICTURE_HINTS).arg_true()
    seen = texts.gather(hinted).str.contains_any(list(PICTURED), ascii_case_insensitive=True)
    vision = hinted.filter(seen)
    nothing = pl.repeat(None, len(texts), dtype=pl.String, eager=True)
    return nothing.scatter(vision, pl.repeat("vision", len(vision), eager=True))


def _conversational(texts: pl.Series) -> pl.Series:
    talk = (pl.col("text").str.len_bytes() <= _CHAT_BYTES) & pl.col("text").str.contains(_CONVERSATION)
    return texts.alias("text").to_frame().select(pl.when(talk).then(pl.lit("chat"))).to_series()
