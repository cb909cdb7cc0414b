"""Takes out of a text what names a person, before it leaves the company.

Belongs here: patterns of personal data in Japanese and English comments. Does not belong here: where texts go.

It errs on the side of taking out too much: a number that might be an order goes, whatever it is. What no pattern sees
(a bare name among other words) stays, which is why a model outside is off unless somebody decides otherwise.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable

_DASH = r"[-‐‑–−ー]"
_KANJI = r"[一-龥々]"
_ENGLISH_NAME = r"[A-Z][a-z'’\-]+(?:\s+[A-Z][a-z'’\-]+)?"
_HONORIFIC = r"(?:さん|さま|様|氏|君|くん|ちゃん)"
_INTRODUCED = (
    r"my name is|name's|i am called|spoke (?:to|with)|talked (?:to|with)|thanks to|thank you,?|kudos to|ask for|signed|"
    r"regards,?|from|named|called|agent|manager|assistant|specialist|rep|advisor|colleague"
)
_NO_DATE = r"(?!(?:19|20)\d\d-\d{1,2}(?:-\d{1,2})?(?!\d))"
_NUMBERED = r"(?i:(?:order|ticket|invoice|case|customer) (?:(?:number|no\.?|id) )?)"
_STREET = r"(?:Street|St|Road|Rd|Avenue|Ave|Lane|Ln|Drive|Dr|Court|Ct)"

_PATTERNS = (
    ("url", r"(?i:(?:https?://|ftp://|www\.)[^\s<>、。」』）]+)"),
    ("email", r"(?i:[a-z0-9_.+\-]+\s?(?:@|\(at\)|\[at\])\s?[a-z0-9\-]+(?:\.[a-z0-9\-]+)+)"),
    ("handle", r"(?<![A-Za-z0-9])@[A-Za-z0-9_.]{2,}"),
    ("postcode", rf"〒\s?\d{{3}}\s?{_DASH}?\s?\d{{4}}"),
    (
        "address",
        rf"{_KANJI}{{2,3}}[都道府県][一-龥々ぁ-んァ-ヶー]{{1,8}}?[市区町村郡][^\s、。]{{0,12}}?\d[\d丁番目号地の\-‐‑–−]*",
    ),
    ("address", rf"\b\d{{1,5}}\s(?:[A-Z][a-z]+\s){{1,3}}{_STREET}\b\.?"),
    (
        "phone",
        rf"(?<![A-Za-z0-9]){_NO_DATE}(?:\+\d{{1,3}}[\s.]?{_DASH}?)?(?:\(\d{{1,5}}\)|\d{{1,5}})(?:(?:[\s.]|{_DASH})\(?\d{{2,4}}\)?){{2,4}}(?![A-Za-z0-9])",
    ),
    (
        "number",
        rf"(?<![A-Za-z0-9]){_NO_DATE}(?:#\s?)?[A-Za-z]{{0,6}}(?:{_DASH}|[_#])?\d(?:[\dA-Za-z]|{_DASH}){{4,}}(?![A-Za-z0-9])",
    ),
    ("number", rf"#\s?\d+|(?:{_NUMBERED}|番号[\s:はが]*)(?P<left>)[A-Za-z\-]*\d[A-Za-z0-9\-]*"),
    ("name", rf"\b(?:Mr|Mrs|Ms|Miss|Mx|Dr|Prof|Sir|Madam)\b\.?\s+{_ENGLISH_NAME}"),
    ("name", rf"\b(?i:{_INTRODUCED})\s+(?P<left>)(?!(?:The|Your|This|That|Our|My|I|We|It|You)\b){_ENGLISH_NAME}"),
    (
        "name",
        rf"(?:私は|名前は|担当の|担当者の|店員の|店長の|スタッフの|係の)(?P<left>){_KANJI}{{1,4}}(?:{_HONORIFIC}|です|と申し|と言い)",
    ),
    (
        "name",
        rf"(?<![一-龥々ァ-ヶー])(?:{_KANJI}{{1,5}}|[ァ-ヶー]{{2,8}}|[A-Z][A-Za-z]{{1,15}}) ?{_HONORIFIC}(?!{_KANJI})",
    ),
)
"""What is looked for, in this order; of a match, what stands before ``left`` stays."""

_COMPILED = [(kind, re.compile(pattern)) for kind, pattern in _PATTERNS]
_NO_NAMES = frozenset(
    (
        *(
            "皆",
            "皆々",
            "客",
            "店員",
            "店長",
            "係員",
            "職員",
            "社員",
            "業者",
            "奥",
            "旦那",
            "主人",
            "神",
            "王",
            "運転手",
            "スタッフ",
        ),
        *(
            "ドライバー",
            "ガイド",
            "オペレーター",
            "サポート",
            "メーカー",
            "レジ",
            "配達員",
            "本屋",
            "花屋",
            "会社",
            "同",
            "他",
            "各",
        ),
        *(
            "多",
            "異",
            "模",
            "有",
            "仕",
            "仲居",
            "看護師",
            "営業",
            "担当",
            "担当者",
            "子",
            "赤",
            "猫",
            "犬",
            "娘",
            "息子",
            "父",
            "母",
            "兄",
        ),
        *(
            "姉",
            "孫",
            "貴",
            "医者",
            "運送屋",
            "業者",
            "宅配業者",
            "配送業者",
            "社長",
            "受付",
            "先方",
            "諸",
            "母",
            "祖父",
            "祖母",
            "販売員",
        ),
    )
)
"""Words that carry an honorific and name nobody: お客様, 店員さん, 同様."""

_ENDING = re.compile(rf" ?{_HONORIFIC}$")


def without_personal_data(text: str) -> str:
    """Return ``text`` with personal data replaced by words in brackets, such as ``[email]``.

    Mail and postal addresses, phone and order numbers, links, and names beside an honorific or an introduction, in any
    width.
    """
    found = unicodedata.normalize("NFKC", text)
    for kind, pattern in _COMPILED:
        found = pattern.sub(_replacing(kind), found)
    return found


def _replacing(kind: str) -> Callable[[re.Match[str]], str]:
    def replaced(match: re.Match[str]) -> str:
        if kind == "name" and _ENDING.sub("", match[0]) in _NO_NAMES:
            return match[0]
        at = match.start("left") if "left" in match.re.groupindex else -1
        return f"{match[0][: max(0, at - match.start())]}[{kind}]"

    return replaced
