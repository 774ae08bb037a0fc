"""The glossary: what a Japanese or English name of a defect prompts the model with."""

import pytest

from app.projects import glossary


@pytest.mark.parametrize(
    ("name", "phrase"),
    [
        ("傷", "a scratch"),
        ("キズ", "a scratch"),
        ("きず", "a scratch"),
        ("ｷｽﾞ", "a scratch"),
        (" 引っかき 傷 ", "a scratch"),
        ("はんだブリッジ", "a solder bridge"),
        ("ﾊﾝﾀﾞ･ﾌﾞﾘｯｼﾞ", "a solder bridge"),
        ("鋳巣", "a casting void"),
        ("ポットホール", "a pothole"),
        ("Ｏリング抜け", "a displaced gasket"),
    ],
)
def test_a_name_is_found_however_it_is_spelled(name, phrase):
    assert glossary.phrases({"ja": name})[0] == phrase


@pytest.mark.parametrize(
    ("name", "phrase"),
    [
        ("表面キズ", "a scratch"),
        ("裏面の傷", "a scratch"),
        ("塗装剥がれ（天面）", "peeling paint"),
        ("右側溶接スパッタ", "weld spatter"),
        ("基板のはんだブリッジ不良", "a solder bridge"),
    ],
)
def test_else_the_longest_term_within_the_name_counts(name, phrase):
    assert glossary.phrases({"ja": name})[0] == phrase


@pytest.mark.parametrize("name", ["", "正常", "傷なし", "割れ無し", "毛布", "№7", "型式A"])
def test_a_name_without_a_defect_says_nothing(name):
    assert glossary.phrases({"ja": name}) == ()
    assert glossary.prompts({"ja": name}) == []


@pytest.mark.parametrize(
    ("name", "phrase"),
    [
        ("Scratch", "a scratch"),
        ("deep scratches", "a scratch"),
        ("solder_bridge", "a solder bridge"),
        ("Mouse-bite", "a mouse bite"),
        ("the pothole", "a pothole"),
    ],
)
def test_an_english_name_is_looked_up_among_the_phrases(name, phrase):
    assert glossary.phrases({"en": name})[0] == phrase


def test_the_japanese_name_decides():
    assert glossary.phrases({"ja": "へこみ", "en": "Scratch"})[0] == "a dent"
    assert glossary.phrases({"ja": "謎", "en": "Scratch"})[0] == "a scratch"


def test_prompts_are_several_english_sentences():
    prompts = glossary.prompts({"ja": "傷"})
    assert len(prompts) == len(set(prompts)) >= 2
    assert "a photo of a scratch" in prompts
    assert all(prompt.isascii() for prompt in prompts)


def test_the_terms_cover_the_trades():
    terms = glossary.terms()
    assert len(terms) >= 150
    assert {
        "metal", "casting", "painting", "pcb", "plastics", "textile",
        "glass", "concrete", "wafer", "packaging", "weld", "assembly",
    } <= {term.industry for term in terms}  # fmt: skip


def test_every_term_is_complete_and_no_spelling_stands_twice():
    spellings = [glossary.normalised(s) for term in glossary.terms() for s in term.spellings]
    assert len(spellings) == len(set(spellings))
    assert all(spellings)
    for term in glossary.terms():
        assert 1 <= len(term.phrases) <= 3
        assert all(phrase.isascii() and phrase == phrase.strip() for phrase in term.phrases)
