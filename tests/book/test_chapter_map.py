"""The map of the book, and the names and links that a page gets."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from pathlib import Path

import chapter_map
import landmarks

BOOK = Path(__file__).parents[2] / "book"
SMALL = {
    1: "(sec-01)=\n# One\n\n$$ (eq-a)\nx\n$$\n",
    2: "(sec-02)=\n# Two\n\n{eq}`eq-a`, {ref}`chapter 1 <sec-01>` and {ref}`sec-03`.\n",
    3: "(sec-03)=\n# Three <&\n\n:label: thm\n\n{prf:ref}`thm` and {eq}`eq-gone`.\n",
}


def test_arcs_are_the_links_to_earlier_chapters() -> None:
    assert chapter_map.links(SMALL) == {(2, 1): 2}
    assert chapter_map.says(2, chapter_map.links(SMALL)) == "refers to chapter 1"
    assert chapter_map.says(3, chapter_map.links(SMALL)) == "refers to no earlier chapter"
    assert chapter_map.links(SMALL, {3: [1]}) == {(2, 1): 2, (3, 1): 1}


def test_map_draws_every_chapter_and_says_it_in_words() -> None:
    made = chapter_map.picture(SMALL, {n: f"{n}.html" for n in SMALL})
    tree = ET.fromstring(made)  # noqa: S314
    links = [a.get("href") for a in tree.iter("a")]
    assert links == ["1.html", "2.html", "3.html"] * 2
    assert [p.get("class") for p in tree.iter("path")] == ["arc from-2 to-1"]
    assert [li.tail or "".join(li.itertext()) for li in tree.iter("li")][1].startswith("2 Two")


def test_all_chapters_are_on_the_map() -> None:
    texts = chapter_map.chapters(BOOK)
    assert list(texts) == list(range(1, len(texts) + 1))
    needs = chapter_map.needed(BOOK / "path.yml")
    assert needs[6] == [2]
    assert set(needs) <= set(texts)
    reached = {old for _new, old in chapter_map.links(texts)}
    assert {1, 2, 3} <= reached
    drawn = chapter_map.picture(texts, dict.fromkeys(texts, "x"))
    assert drawn.count("<path") == len(chapter_map.links(texts))
    assert all(len(name) <= chapter_map.LETTERS for name in re.findall(r'x="163">(.*?)<', drawn))


PAGE = """<p class="takeaway">9 minutes</p><h2>A section<a class="headerlink" href="#a">#</a></h2>
<div class="proof lemma ours admonition" id="lem">
<p class="admonition-title"><span class="caption-number">Lemma 1.1 </span> (Ours: a <i>b</i>)</p>
<section></section></div>
<div class="proof admonition" id="proof">
<p>Proof. Yes.</p></div><div class="proof admonition" id="proof">
<p>Proof. Another.</p></div>
<div class="verdict verdict-checked" id="claim-x"><strong>checked</strong></div>
<table border="1"><tr></tr></table><table><caption>Named</caption></table>
<div class="frames"></div><div class="frames"></div>
<section id="exercises"><p><strong>2.</strong> Show.</p>
<span class="sd-summary-text">Solution</span>
<p id="ex-3"><strong>3. A name.</strong> Show.</p>
<span class="sd-summary-text">Solution</span></section>"""


def test_regions_tables_and_solutions_are_named() -> None:
    made = landmarks.improve(PAGE)
    names = re.findall(r'(role="region"|<table) aria-label="([^"]*)"', made)
    assert [name for _kind, name in names] == [
        "Lemma 1.1 (Ours: a b)",
        "Proof of Lemma 1.1",
        "Proof",
        "Table: A section",
    ]
    styled = landmarks.improve('<h2>A</h2><table id="T_1"><tr></tr></table>')
    assert '<table aria-label="Table: A" class="dataframe" id="T_1">' in styled
    assert re.findall(r">Solution of exercise (\d)<", made) == ["2", "3"]
    assert made.count('id="first-slider"') == made.count('href="#first-slider"') == 1
    links = re.findall(r'class="headerlink" tabindex="-1" href="#([\w-]+)"', made)
    assert links == ["a", "lem", "claim-x"]
    assert landmarks.TAG.sub("", made).count("Solution") == 2
