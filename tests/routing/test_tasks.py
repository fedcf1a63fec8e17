# ruff: noqa: RUF001 - full-width punctuation is what Chinese and Japanese are written with
"""What kind of work a text asks for, on prompts with and without a plain instruction."""

import time

import polars as pl
import pytest

from batchroute.routing.tasks import CUES, ENDING, OPENING, Cues, guess

TUNED: dict[str, tuple[str, ...]] = {
    "translate": (
        "Translate the following sentence into German: The warehouse is closed on public holidays.",
        "How do you say 'the meeting has been postponed' in Japanese?",
        "请把下面这段话翻译成英文：我们的产品将于下个月正式上市，欢迎提前预订。",
        "Traduis ce paragraphe en anglais : Le contrat prendra fin le 31 décembre sauf avis contraire.",
        "Por favor, traduce al inglés el siguiente texto: El paquete llegó dañado y quiero un reembolso.",
        "Übersetze bitte ins Französische: Wir bitten um Entschuldigung für die Verspätung.",
        "You are a professional translator. Render the text below in Italian, keeping the tone.\n\nText: Thank you for your patience.",
    ),
    "summarize": (
        "Summarize the following article in two sentences.\n\nThe city council voted on Tuesday to extend the tram line to the airport. The project, expected to cost 340 million, will begin next spring. Critics say that translation of the plans was late.",
        "The quarterly call covered three topics. Revenue rose by four percent, mostly in the north. Two warehouses will be merged. Hiring stays frozen until June. The board asked for a new forecast and a plan for the migration of the code base. Questions were taken at the end, mainly about currency effects and the debt that matures next year.\n\nGive me a short summary of the above.",
        "用三句话总结下面的新闻：昨天下午，市政府宣布将在明年春天开始修建新的地铁线路，预计投资三百亿元。",
        "Résume ce texte en une phrase : La réunion de lundi a porté sur le budget, les délais et le recrutement.",
        "Resume el siguiente informe en un párrafo. El consejo se reunió el martes y aprobó las cuentas del ejercicio anterior.",
        "Fasse den folgenden Text in drei Stichpunkten zusammen: Der Vorstand hat gestern beschlossen, zwei Standorte zu schließen.",
        "What are the key takeaways from this email thread?\n\n> Hi all, the vendor moved the date to the 14th. > We need a new quote.",
    ),
    "code": (
        "Write a Python function that returns the n-th Fibonacci number.",
        "Why does this fail?\n\nTraceback (most recent call last):\n  File \"app.py\", line 3, in <module>\nKeyError: 'name'",
        "Refactor this so that it is easier to test:\n```js\nfunction a(x){return x.map(y=>y*2)}\n```",
        "用 Python 写一个函数，读取 CSV 文件并按日期排序。",
        "Escribe una consulta SQL que devuelva los diez clientes con más pedidos.",
        "Écris une fonction JavaScript qui valide une adresse e-mail.",
        "Schreibe ein Bash-Skript, das alle Logdateien älter als sieben Tage löscht.",
    ),
    "reason": (
        "A train leaves at 9:40 and travels 180 km at 72 km/h. At what time does it arrive? Show your work.",
        "If all bloops are razzies and all razzies are lazzies, are all bloops definitely lazzies? Explain your reasoning.",
        "小明有 24 个苹果，送给小红 7 个，又买了 5 个，现在一共有多少个苹果？",
        "María compró 3 cajas de 12 huevos y se rompieron 5. ¿Cuántos huevos le quedan?",
        "Un réservoir contient 240 litres et se vide de 8 litres par minute. Combien de temps faut-il pour le vider ?",
        "Löse die Gleichung 3x + 7 = 22 und erkläre jeden Schritt.",
        "Prove that the square root of 2 is irrational.",
    ),
    "classify": (
        "Classify this support ticket as billing, technical or account: I was charged twice this month.",
        'What is the sentiment of the following review? "The battery died after two days." Answer positive, negative or neutral.',
        "判断下面这条评论的情感是正面还是负面：物流很快，但是质量很差。",
        "Clasifica la siguiente reseña como positiva, negativa o neutra: La comida estaba fría.",
        "Classe ce message dans une des catégories suivantes : facture, livraison, retour. « Mon colis n'est pas arrivé. »",
        "Ordne die folgende Nachricht einer Kategorie zu (Rechnung, Versand, Technik): Mein Router startet ständig neu.",
        "Which of these topics does the headline belong to: sports, politics, business? Headline: Central bank holds rates steady.",
    ),
    "extract": (
        "Extract all e-mail addresses and phone numbers from the text below.\n\nContact Ana at ana@shop.example or +34 600 000 000.",
        "List every person mentioned in the following paragraph as a JSON array: Dr. Lee met Mrs. Novak in Oslo.",
        "从下面的文本中提取公司名称和金额：甲方北京华兴科技有限公司应支付人民币五万元。",
        "Extrae el nombre, la fecha y el importe de esta factura: Factura 221, Juan Pérez, 3 de mayo, 120 euros.",
        "Extrais les dates et les lieux du texte suivant : Le 3 mai à Lyon, puis le 7 juin à Nantes.",
        "Extrahiere alle Namen und Orte aus dem folgenden Text: Anna Meier fuhr am Montag nach Köln.",
        "Return a JSON object with the fields name, address and order_id for the message below.\n\nHi, I'm Tom Reed, order 5512, 4 Elm St.",
    ),
    "creative": (
        "Write a short poem about the sea in winter.",
        "Come up with five names for a coffee shop run by cats.",
        "写一首关于秋天的诗。",
        "Escribe un cuento corto sobre un robot que aprende a bailar.",
        "Écris une courte histoire pour enfants à propos d'un renard.",
        "Schreibe ein Gedicht über den ersten Schnee.",
        "Write a catchy product description for a waterproof backpack.",
    ),
    "moderate": (
        'Is this comment toxic? Answer yes or no.\n\n"Nobody wants you here, go away."',
        "Does the following message violate our community guidelines?\n\nBuy followers cheap, click here!!!",
        "请判断以下评论是否包含辱骂或仇恨言论：你真是个废物。",
        '¿Es ofensivo este comentario? "Eres un inútil y todos lo saben."',
        "Ce message contient-il des propos haineux ? « Rentrez chez vous. »",
        'Enthält der folgende Kommentar Beleidigungen? "Du bist so dumm wie Brot."',
        "Moderate this user post and flag any hate speech, harassment or violence: I hope your team loses.",
    ),
    "chat": (
        "Hi there! How are you today?",
        "What should I cook for dinner tonight? I have some rice.",
        "你好，今天过得怎么样？",
        "Hola, ¿me recomiendas una película para el fin de semana?",
        "Salut, tu vas bien ? Je m'ennuie un peu.",
        "Hallo, kannst du mir ein gutes Buch empfehlen?",
        "Thanks, that was really helpful!",
    ),
    "vision": (
        "What is shown in this image? https://cdn.shop.example/p/8841.jpg",
        "Describe the attached photo for a blind reader.",
        "这张图片里有几个人？ https://img.example/a.png",
        "¿Qué aparece en esta imagen? https://img.example/b.webp",
        "Décris cette photo en une phrase : https://img.example/c.jpeg",
        "Was ist auf diesem Bild zu sehen? https://img.example/d.png",
        "Read the total from this receipt: data:image/png;base64,iVBORw0KGgoAAAANSUhEUg==",
    ),
}
"""Plain instructions that the patterns were written with."""

HELD_OUT: dict[str, tuple[str, ...]] = {
    "translate": (
        "Please translate this to Spanish and keep the line breaks:\n\nDear guest,\nyour room is ready.",
        'Could you put this into French for me? "We will call you back tomorrow morning."',
        "将以下内容翻译为中文：The invoice is due within thirty days.",
        "Traduisez en espagnol : Nous avons bien reçu votre demande.",
        '¿Puedes traducir esto al alemán? "Nos vemos el lunes en la oficina."',
        "Bitte übersetzen Sie den folgenden Absatz ins Englische: Die Lieferung erfolgt innerhalb von fünf Tagen.",
        "Our office will be closed from Monday to Friday next week. Please direct urgent questions to the hotline, which is staffed around the clock. Orders placed in this period ship on the following Monday. We thank you for your understanding and wish you a pleasant holiday season with your families.\n\nTranslate the text above into Portuguese.",
        "Traduza para o inglês: O pedido foi enviado ontem à tarde.",
        "次の文を英語に翻訳してください：明日の会議は中止になりました。",
    ),
    "summarize": (
        "TL;DR this for me: The committee met for three hours and agreed on nothing except the date of the next meeting, which is in May.",
        "Please condense the report below to at most 50 words.\n\nSales in the region fell for the third month in a row as prices rose.",
        "请概括以下文章的主要内容：近年来，随着电动汽车的普及，充电桩的建设速度明显加快。",
        "Fais un résumé de l'article suivant : Le gouvernement a présenté mardi son plan pour l'eau.",
        "Haz un resumen breve de esta conversación: Cliente: no funciona. Agente: reinicie el equipo. Cliente: gracias.",
        "Erstelle eine kurze Zusammenfassung des folgenden Protokolls: Die Sitzung begann um 9 Uhr mit dem Bericht der Kasse.",
        "Write a one-paragraph summary of this patient note: 54-year-old with cough for two weeks, no fever, non-smoker.",
        "Riassumi il testo seguente in due frasi: Il comune ha approvato il nuovo piano per le piste ciclabili.",
    ),
    "code": (
        "Implement a thread-safe LRU cache in Rust and add unit tests.",
        "Fix the bug in this code:\n\ndef mean(xs):\n    return sum(xs) / len(x)",
        "写一段 SQL 查询，统计每个月的订单数量。",
        "Crea un script de Python que renombre todos los archivos de una carpeta.",
        "Explique ce que fait cette fonction :\n```python\ndef f(n):\n    return n if n < 2 else f(n-1) + f(n-2)\n```",
        "Schreib mir eine Regex, die deutsche Postleitzahlen erkennt.",
        "How can I merge two dictionaries in Python without losing keys?",
    ),
    "reason": (
        "Sara has twice as many marbles as Tom. Together they have 36. How many marbles does Tom have?",
        "Think step by step: if today is Wednesday, what day will it be in 100 days?",
        "一个长方形的长是 12 厘米，宽是 5 厘米，它的面积是多少？",
        "Si un coche recorre 150 km en 2 horas, ¿a qué velocidad media viaja?",
        "Calcule la probabilité d'obtenir deux six en lançant deux dés.",
        "Ein Zug fährt um 8 Uhr los und braucht 95 Minuten. Wann kommt er an?",
        "Calculate the compound interest on 2,000 dollars at 4% for 3 years.",
    ),
    "classify": (
        'Label the sentiment of each tweet: "Best concert ever!" / "Two hours in the queue."',
        "Categorize the following product into one of: electronics, clothing, home. Product: cordless drill 18V",
        "请将这条用户反馈归类为：物流、质量、客服。反馈：等了两周才收到货。",
        '¿A qué categoría pertenece este mensaje: ventas, soporte o facturación? "No puedo entrar en mi cuenta."',
        "Quel est le sentiment de cet avis (positif, négatif, neutre) ? « Service lent mais cuisine excellente. »",
        'Klassifiziere die Absicht der folgenden Anfrage: "Ich möchte mein Abo kündigen."',
        "Is this email spam or not spam? Subject: You won a free cruise",
        "Assign a priority (low, medium, high) to this ticket: The login page shows an error for all users.",
    ),
    "extract": (
        "Pull out the invoice number, date and total from this: INV-2201, 4 March, EUR 318.00, due in 14 days.",
        "Find all dates mentioned in the following contract clause. The lease starts on 1 June 2024 and ends on 31 May 2027.",
        "请列出下文中出现的所有人名和地名：张伟和李娜上周从上海去了成都。",
        "Identifica todas las empresas mencionadas en el texto: Telefonía Sur compró acciones de Energía Norte.",
        "Relève tous les noms de médicaments dans cette ordonnance : amoxicilline 500 mg, paracétamol 1 g.",
        "Gib alle Telefonnummern aus dem folgenden Text als Liste zurück: Büro 030 1234, mobil 0170 555.",
        "Given the resume below, return the candidate's skills and years of experience as JSON.\n\nJane Roe. 2016-2023 data engineer. SQL, Spark.",
    ),
    "creative": (
        "Tell me a bedtime story about a dragon who is afraid of fire.",
        "Write a limerick about a lazy programmer.",
        "请写一个关于时间旅行的短篇故事。",
        "Inventa un eslogan divertido para una marca de helados.",
        "Compose un haïku sur la pluie.",
        "Verfasse eine lustige Kurzgeschichte über einen Roboter, der kochen lernt.",
        "Write a blog post introduction about slow travel in the style of Hemingway.",
        "Escreva um poema sobre o mar.",
    ),
    "moderate": (
        'Check whether this text contains hate speech: "People like them should not be allowed to vote."',
        "Decide if the post below is safe, or should be removed for harassment or threats.\n\nI know where you live.",
        "这条弹幕是否违规？“滚出去，垃圾。”",
        'Indica si el siguiente comentario contiene insultos o amenazas: "Te vas a arrepentir."',
        "Ce commentaire est-il toxique ? « T'es vraiment nul, arrête d'écrire. »",
        'Ist dieser Beitrag beleidigend oder verstößt er gegen unsere Regeln? "Halt endlich die Klappe."',
        "Flag this message if it is abusive: you are the worst support agent I have ever met",
    ),
    "chat": (
        "Good morning! Any plans for the weekend?",
        "I feel a bit sad today, can we talk?",
        "谢谢你的帮助！",
        "¿Cómo estás? Hoy ha sido un día muy largo.",
        "Bonjour, qu'est-ce que tu aimes faire le dimanche ?",
        "Guten Abend, was machst du gerade so?",
        "What's your favourite season and why?",
    ),
    "vision": (
        "How many people are in the picture? https://static.example/crowd.JPG",
        "Look at the screenshot below and tell me which button is disabled. <image>",
        "描述一下这张照片。 https://img.example/x.jpg",
        "Describe la imagen adjunta con detalle.",
        "Que voit-on sur cette image ? https://img.example/y.png",
        "Beschreibe das Foto im Anhang in zwei Sätzen.",
        "Read the text in this photo of a street sign: https://img.example/sign.webp",
    ),
}
"""Plain instructions that no pattern was changed for."""

INDIRECT: dict[str, tuple[str, ...]] = {
    "moderate": (
        'A player typed this in the lobby: "uninstall and touch grass, you absolute clown". Banter or a ban? Justify briefly.',
        'Should we approve or remove this listing? "Genuine designer bags, 90% off, pay by gift card only."',
        "Username check for a kids' site: xX_Murder_Doll_Xx. OK or not?",
        'Un usuario escribió: "ojalá te atropelle un camión". ¿Lo borramos o lo dejamos?',
        'Darf dieser Forenbeitrag stehen bleiben? "Die gehören alle eingesperrt."',
        "On publie ou on supprime cet avis ? « Patron voleur, fuyez cette arnaque. »",
        "这条评价能不能通过审核？“老板是骗子，大家快去他家门口堵他。”",
        "Is it fine to leave this comment up under our harassment rules?",
    ),
    "classify": (
        'Is this a bug report, a feature request or a question? "It would be great if the export had a dark mode."',
        'Pick one queue for this ticket: refunds, shipping, technical. Reply with the queue name only. "Parcel says delivered but it isn\'t here."',
        "Tweet: \"well, that's three hours of my life I won't get back\". Happy, angry or sarcastic? One word.",
        'Which team should get this? Options: legal, HR, finance. "My payslip is missing the bonus."',
        'Reseña: "Ni fu ni fa." ¿Positiva, negativa o neutra?',
        'Sagt mir, ob diese Mail eine Bestellung, eine Beschwerde oder Werbung ist: "Die Lampe kam zerbrochen an."',
        "Avis client : « Ça fait le travail. » Positif, négatif ou mitigé ? Réponds par un seul mot.",
        "用户留言：“能不能早点发货？” 这是咨询、投诉还是表扬？只回答一个词。",
    ),
    "creative": (
        "My grandmother turns ninety on Friday and I'd like a toast that makes people laugh and then cry a little.",
        "Four lines of rhyming verse for a birthday card, please. He likes trains.",
        "We are opening a bakery on a boat. Ten names, none with the word 'sea'.",
        "Describe a city where it always rains, from the point of view of an umbrella.",
        "Necesito unos versos para la boda de mi hermana, con rima y sin cursilerías.",
        "Il me faut un slogan pour une marque de savon artisanal, drôle et court.",
        "Ein kleines Märchen für meine Tochter, bitte, mit einem Igel als Held.",
        "帮我想五个奶茶店的名字，要可爱一点。",
        "The opening paragraph of a noir novel set in a library.",
    ),
    "reason": (
        "Two friends split a bill of 84.60 with a 15% tip, but one had the wine for 22. What does each owe?",
        "Anna is taller than Ben, Ben is taller than Carl. Dora is shorter than Carl. Who is second tallest?",
        "Is it cheaper to lease at 310 a month for 36 months or to buy at 14,000 and sell at 5,500?",
        "A says B lies, B says C lies, C says both lie. Who tells the truth?",
        "Tres pintores tardan seis días. ¿Y si fueran nueve, cuánto tardarían?",
        "Drei Kisten, alle falsch beschriftet. Wie oft muss ich ziehen, um sie richtig zu beschriften?",
        "Une boutique baisse ses prix de 20 % puis les remonte de 20 %. Revient-on au prix de départ ?",
        "甲乙丙三人中只有一人说真话，甲说乙在撒谎，乙说丙在撒谎，丙说甲乙都在撒谎。谁说真话？",
        "Why does the sum of two odd numbers always come out even?",
    ),
    "extract": (
        "From this receipt I only need the merchant, the date and the total: ALDI 12/03/24 ... TOTAL 23,18",
        "Who, when, where? Just the three answers.\n\nThe mayor opened the bridge in Porto on 4 May.",
        'What\'s the tracking number in this mail? "Your parcel 1Z999AA10123456784 is on its way."',
        "Turn these notes into a table with columns task, owner, due: Mia sends slides by Tue; Raj books the room by Wed.",
        "Saca de este correo el número de pedido y la dirección de entrega: Pedido 5521, calle Sol 4.",
        "Récupère l'IBAN et le montant dans ce message : virement de 300 € vers FR76 3000 6000.",
        'Welche Firmen und Beträge stehen in dieser Meldung? "Krone AG zahlt 2 Mio. an die Felder GmbH."',
        "把下面简历里的姓名、电话、学校整理成 JSON：王小明，13800000000，复旦大学。",
    ),
    "code": (
        "My list comprehension returns None for every element, what am I doing wrong? [x.append(1) for x in rows]",
        "git says 'detached HEAD' after I checked out a tag. How do I keep my commits?",
        "Why is my useEffect firing twice in React 18?",
        "SELECT * FROM orders o LEFT JOIN users u ON o.uid = u.id WHERE u.country = 'DE' -- why do I lose rows?",
        "Necesito una expresión que valide matrículas, para usar en JavaScript.",
        "Comment annuler le dernier commit sans perdre mes fichiers ?",
        'Mein Docker-Container startet nicht: "port is already allocated". Was tun?',
        "一个 goroutine 里往已关闭的 channel 发送数据会怎样？怎么避免 panic？",
        "One-liner in awk to sum the third column, please.",
    ),
    "summarize": (
        "I have two minutes before the meeting. What's the gist?\n\nFrom: Karen. The migration slipped by a week because the vendor changed the schema.",
        "Give me the short version of this: The court found that the landlord had failed to repair the roof despite three notices.",
        "Boil the following down to five bullets for the board. Revenue fell 3%, costs rose 8%, and the new plant is late.",
        "Cut this to 40 words without losing the figures: Sales were 4.2 million, up 6% on the year, with exports at 1.1 million.",
        "En pocas palabras, ¿qué dice este comunicado? La empresa reestructurará su división de logística durante el año.",
        "L'essentiel de ce mail en deux lignes, s'il te plaît : Bonjour à tous, le déménagement est repoussé au 12.",
        "Das Wichtigste aus diesem Bericht in drei Sätzen: Die Nachfrage sank, die Lager sind voll, die Preise geben nach.",
        "长话短说，这封邮件讲了什么？各位同事，因系统升级，周六全天无法登录报销平台。",
    ),
    "translate": (
        "Spanish version of this sign, please: Wet floor, mind your step.",
        "I need this in Dutch for a customer: Your refund was issued today.",
        "What's the German word for 'overmorrow'?",
        "Auf Englisch bitte: Wir melden uns morgen bei Ihnen.",
        '¿Cómo digo en inglés "me da igual"?',
        "En anglais, s'il te plaît : « On se rappelle demain. »",
        "这句话用英语怎么说：“不好意思，让您久等了。”",
        "Localize these app strings for the Brazilian market: Save, Cancel, Try again",
    ),
    "chat": (
        "My cat knocked over my plant again. She looked me straight in the eye. I think she's planning something.",
        "I can't decide between Lisbon and Porto for a long weekend, which would you pick?",
        "ok cool, talk later!",
        "Estoy nervioso por mi primer día de trabajo, ¿algún consejo?",
        "Ich kann nicht schlafen. Was hilft dir denn so?",
        "T'as vu le match hier soir ? Quel but !",
        "最近工作好累，想找人聊聊天。",
        "Do you ever get bored?",
    ),
}
"""Requests that name no task; the patterns were widened with them."""

FILLER = (
    "The depot opened at six and the first vans left before seven. Traffic near the bridge was slow. "
    "Two drivers changed shifts at noon, and the evening round was finished early. "
)


def _guess(*texts: str | None) -> list[str | None]:
    return guess(pl.Series(texts, dtype=pl.String)).labels.to_list()


def _accuracy(prompts: dict[str, tuple[str, ...]]) -> float:
    wanted = [task for task, texts in prompts.items() for _ in texts]
    found = _guess(*(text for texts in prompts.values() for text in texts))
    return sum(one == other for one, other in zip(wanted, found, strict=True)) / len(wanted)


@pytest.mark.parametrize("prompts", [TUNED, HELD_OUT, INDIRECT], ids=["tuned", "held out", "indirect"])
def test_nine_of_ten_prompts_get_their_task(prompts: dict[str, tuple[str, ...]]) -> None:
    assert _accuracy(prompts) >= 0.9


@pytest.mark.parametrize("task", HELD_OUT)
def test_no_task_is_left_behind(task: str) -> None:
    assert _accuracy({task: HELD_OUT[task]}) >= 0.7


@pytest.mark.parametrize(
    ("text", "task"),
    [
        pytest.param(
            f"Summarize this report. {FILLER * 3} Translate nothing. Write a poem. {FILLER * 3}",
            "summarize",
            id="the middle is a document",
        ),
        pytest.param(
            f"{FILLER * 6}\n\nTranslate the text above into French.", "translate", id="the end instructs"
        ),
        pytest.param(
            f"{FILLER * 6}\n\nExtrahiere alle Namen aus dem Text.",
            "extract",
            id="the end instructs, in German",
        ),
        pytest.param(
            "Translate into Spanish: Please summarize the minutes and write a short poem.",
            "translate",
            id="the first instruction wins",
        ),
        pytest.param(
            "Summarize: a new translation of the novel was classified as a bestseller.",
            "summarize",
            id="words of other tasks in the document",
        ),
        pytest.param(
            "Write a story about a function that feels lonely.", "creative", id="the nearest product wins"
        ),
        pytest.param(
            "Write a function that tells a story.", "code", id="the nearest product wins, the other way"
        ),
        pytest.param("Translate this Python function to Rust.", "code", id="translating code is code"),
        pytest.param(
            "Extract the text from https://img.example/scan.PNG", "vision", id="an image needs eyes"
        ),
        pytest.param(
            "Hello! Could you please translate this: good night", "translate", id="after a greeting"
        ),
        pytest.param("\n\n  - summarise the following\n", "summarize", id="after blanks and a bullet"),
        pytest.param("ÜBERSETZE INS ENGLISCHE: GUTEN TAG", "translate", id="upper case"),
        pytest.param(FILLER * 6, None, id="no instruction in a long text"),
        pytest.param("", None, id="empty"),
        pytest.param(None, None, id="null"),
    ],
)
def test_the_instruction_decides_not_the_document(text: str | None, task: str | None) -> None:
    assert _guess(text) == [task]


def test_only_the_opening_and_the_ending_are_read() -> None:
    middle = "x" * OPENING + "\nTranslate this.\n" + "x" * ENDING

    assert _guess(middle, "Translate this.\n" + "x" * 1000, "x" * 1000 + "\nTranslate this.") == [
        None,
        "translate",
        "translate",
    ]


def test_a_text_is_judged_alone() -> None:
    texts = [
        text for prompts in (TUNED, HELD_OUT, INDIRECT) for several in prompts.values() for text in several
    ]

    assert _guess(*texts) == [_guess(text)[0] for text in texts]


def test_nothing_to_read_gives_nothing() -> None:
    assert _guess() == []


@pytest.mark.parametrize("cues", CUES, ids=lambda cues: cues.task)
def test_words_are_plain_and_lower_case(cues: Cues) -> None:
    asks = [words for ask in cues.asks for words in (ask.verbs, ask.objects)]
    lists = [words for words in (cues.orders, cues.products, *asks) if words]

    assert [words for words in lists if words != words.lower()] == []
    assert [words for words in lists if "" in words.split("|")] == []


def test_it_is_told_how_sure_a_task_is_and_of_nothing_how_sure_that_is() -> None:
    texts = pl.Series(["Translate into German: hello", "Which would you pick, then?", FILLER * 6, None])

    opinion = guess(texts)

    assert opinion.confidence is not None
    assert [sure is None for sure in opinion.confidence] == [task is None for task in opinion.labels]
    assert opinion.labels.to_list()[2:] == [None, None]
    assert opinion.confidence.drop_nulls().is_between(0.3, 1).all()


@pytest.mark.benchmark
def test_three_hundred_thousand_texts_a_second() -> None:
    """An automaton that outgrows its space costs a hundred times more; texts that differ show it."""
    prompts = [
        text for table in (TUNED, HELD_OUT, INDIRECT) for several in table.values() for text in several
    ]
    texts = pl.Series([f"{prompts[at % len(prompts)]} {FILLER} {at}"[:220] for at in range(32_768)])
    guess(texts)

    assert len(texts) / min(_seconds(texts) for _ in range(5)) > 300_000


def _seconds(texts: pl.Series) -> float:
    began = time.process_time()
    guess(texts)
    return time.process_time() - began
