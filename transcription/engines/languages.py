"""Whisper's names of languages: OpenAI answers `english` where others answer `en`."""

from __future__ import annotations

from typing import Final

_LISTED: Final = """
en:english zh:chinese de:german es:spanish ru:russian ko:korean fr:french ja:japanese
pt:portuguese tr:turkish pl:polish ca:catalan nl:dutch ar:arabic sv:swedish it:italian
id:indonesian hi:hindi fi:finnish vi:vietnamese he:hebrew uk:ukrainian el:greek ms:malay
cs:czech ro:romanian da:danish hu:hungarian ta:tamil no:norwegian th:thai ur:urdu hr:croatian
bg:bulgarian lt:lithuanian la:latin mi:maori ml:malayalam cy:welsh sk:slovak te:telugu
fa:persian lv:latvian bn:bengali sr:serbian az:azerbaijani sl:slovenian kn:kannada et:estonian
mk:macedonian br:breton eu:basque is:icelandic hy:armenian ne:nepali mn:mongolian bs:bosnian
kk:kazakh sq:albanian sw:swahili gl:galician mr:marathi pa:punjabi si:sinhala km:khmer
sn:shona yo:yoruba so:somali af:afrikaans oc:occitan ka:georgian be:belarusian tg:tajik
sd:sindhi gu:gujarati am:amharic yi:yiddish lo:lao uz:uzbek fo:faroese ps:pashto tk:turkmen
nn:nynorsk mt:maltese sa:sanskrit lb:luxembourgish my:myanmar bo:tibetan tl:tagalog
mg:malagasy as:assamese tt:tatar haw:hawaiian ln:lingala ha:hausa ba:bashkir jw:javanese
su:sundanese yue:cantonese
"""
NAMES: Final = {name: code for code, _, name in (one.partition(":") for one in _LISTED.split())}


def code_of(language: str) -> str:
    """The code of a language by its name or by itself; `und` for what nobody knows."""
    name = language.strip().lower()
    if name in NAMES:
        return NAMES[name]
    code = primary(name)
    return code if 2 <= len(code) <= 3 and code.isalpha() else "und"


def primary(language: str) -> str:
    """The language itself: `en` of `en-US` and of `en_us`."""
    return language.replace("_", "-").partition("-")[0].lower()
