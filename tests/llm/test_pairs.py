"""Reading pairs, malformed lines, and splits."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hetlib.llm.data import pairs
from hetlib.llm.data.pairs import make_pair, read_pairs, split_by_prompt

HEAD = "\n\nHuman: what grows here?\n\nAssistant:"
WORD = st.text(st.characters(codec="utf-8"), min_size=1, max_size=20).filter(str.strip)


def line(one: str = " roses", other: str = " tall oaks", head: str = HEAD) -> str:
    return json.dumps({"chosen": head + one, "rejected": head + other})


def write(path: Path, *lines: str) -> Path:
    text = "".join(f"{each}\n" for each in lines).encode()
    path.write_bytes(gzip.compress(text) if path.suffix == ".gz" else text)
    return path


GOOD = [line(f" roses {i}", f" oaks {i * i}") for i in range(6)]


@pytest.mark.slow
@given(WORD, WORD, st.integers(0, 3))
def test_order_does_not_tell_which_was_chosen(one: str, other: str, turns: int) -> None:
    if one == other or any(pairs.ASSISTANT in text for text in (one, other)):
        return
    head = HEAD + (" yes" + HEAD) * turns
    pair = make_pair(head + one, head + other)
    assert pair == make_pair(head + other, head + one)
    assert pair.prompt == head
    assert {pair.first, pair.second} == {one, other}


def test_first_is_the_chosen_one_half_of_the_time() -> None:
    made = [make_pair(f"{HEAD} a{i}", f"{HEAD} b{i}") for i in range(2000)]
    a_first = sum(pair.first.startswith(" a") for pair in made)
    assert abs(a_first - 1000) < 5 * 2000**0.5 / 2
    assert len({pair.key for pair in made}) == 2000


def test_split_is_at_the_last_common_assistant() -> None:
    pair = make_pair(HEAD + " x" + HEAD + " y", HEAD + " x\n\nHuman: no\n\nAssistant: z")
    assert pair.prompt == HEAD  # the texts part before their second answer
    assert {pair.first, pair.second} == {" x" + HEAD + " y", " x\n\nHuman: no\n\nAssistant: z"}


@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.gz"])
def test_files(tmp_path: Path, name: str) -> None:
    path = write(tmp_path / name, *GOOD)
    found = read_pairs(path)
    expected = []
    for row in map(json.loads, GOOD):
        expected.append(make_pair(row["chosen"], row["rejected"]))
    assert found == expected == read_pairs([str(path)])


def test_folder(tmp_path: Path) -> None:
    for kind, lines in (("one", GOOD[:2]), ("two", GOOD[2:])):
        (tmp_path / kind).mkdir()
        write(tmp_path / kind / "test.jsonl.gz", *lines)
    write(tmp_path / "one" / "train.jsonl", line(" other", " words"))
    assert read_pairs(tmp_path) == read_pairs(write(tmp_path / "all.jsonl", *GOOD))
    assert len(read_pairs(tmp_path, split="train")) == 1
    with pytest.raises(ValueError, match=r"no \.jsonl or .*'dev' in its name; it holds all\.jsonl"):
        read_pairs(tmp_path, split="dev")


def test_limit_is_a_sample_whatever_the_order(tmp_path: Path) -> None:
    some = read_pairs(write(tmp_path / "a.jsonl", *GOOD), limit=3)
    back = read_pairs(write(tmp_path / "b.jsonl", *reversed(GOOD)), limit=3)
    assert some == back[::-1]
    assert len(some) == 3


@pytest.mark.slow
def test_sample_takes_no_side() -> None:
    """The order within a pair follows from its key; a sample must not choose by that."""
    many = [make_pair(f"{HEAD} a{i}", f"{HEAD} b{i}") for i in range(20_000)]
    some = pairs.sample(many, 200)
    assert len(some) == 200
    assert abs(sum(p.first < p.second for p in some) - 100) < 5 * 200**0.5 / 2
    place = [i for i, p in enumerate(many) if p in set(some)]
    assert abs(sum(i < 10_000 for i in place) - 100) < 5 * 200**0.5 / 2
    assert [many[i] for i in place] == some
    assert pairs.sample(many, None) == pairs.sample(many, 10**6) == many


MALFORMED = [
    ("{", "not JSON"),
    ("[1]", "not a JSON object"),
    ('{"chosen": "a"}', "no text under 'rejected'"),
    ('{"chosen": 3, "rejected": "a"}', "no text under 'chosen'"),
    (line(" same", " same"), "identical"),
    (line("  \n", " text"), "one response is empty"),
    (line(" a", " b", head="Question: "), "share no prompt that ends with"),
]


@pytest.mark.parametrize(("bad", "message"), MALFORMED)
def test_malformed_line(tmp_path: Path, bad: str, message: str) -> None:
    path = write(tmp_path / "a.jsonl", *GOOD[:2], bad, *GOOD[2:])
    with pytest.raises(ValueError, match=f"a.jsonl, line 3: .*{message}"):
        read_pairs(path)
    with pytest.warns(UserWarning, match=rf"a.jsonl: skipped line 3 \(.*{message}"):
        kept = read_pairs(path, malformed="skip")
    assert len(kept) == len(GOOD)


SURROGATES = [
    '{"chosen": "%s \\ud83d", "rejected": "%s b"}' % ((json.dumps(HEAD)[1:-1],) * 2),
    '{"chosen": "%s a", "rejected": "%s \\udc00x"}' % ((json.dumps(HEAD)[1:-1],) * 2),
    '{"chosen": "%s a", "rejected": "%s \\udc00\\ud83d"}' % ((json.dumps(HEAD)[1:-1],) * 2),
    '{"chosen": "%s \\ud83d\\ud83d", "rejected": "%s b"}' % ((json.dumps(HEAD)[1:-1],) * 2),
    '{"chosen": "\\udfff%s a", "rejected": "\\udfff%s b"}' % ((json.dumps(HEAD)[1:-1],) * 2),
]


@pytest.mark.parametrize("bad", SURROGATES)
def test_half_a_character_is_malformed(tmp_path: Path, bad: str) -> None:
    path = write(tmp_path / "a.jsonl", *GOOD, bad)
    with pytest.raises(ValueError, match=r"a.jsonl, line 7: not Unicode"):
        read_pairs(path)
    with pytest.warns(UserWarning, match=r"a.jsonl: skipped line 7 .not Unicode"):
        assert len(read_pairs(path, malformed="skip")) == 6
    path.write_bytes(line(" caf\xe9").replace("\\u00e9", "\xe9").encode("latin-1"))
    with pytest.raises(ValueError, match=r"a.jsonl, line 1: not Unicode"):
        read_pairs(path)


def messages(*turns: str) -> list[dict[str, str]]:
    roles = ("user", "assistant") * len(turns)
    return [{"role": r, "content": t} for r, t in zip(roles, turns, strict=False)]


def test_a_prompt_of_its_own_and_lists_of_messages(tmp_path: Path) -> None:
    trl = {"prompt": "which tree?", "chosen": " oak", "rejected": " old oak"}
    whole = trl | {name: "which tree?" + trl[name] for name in ("chosen", "rejected")}
    chats = [
        {"chosen": messages("which?", "oak"), "rejected": messages("which?", "elm")},
        {
            "prompt": messages("which?"),
            "chosen": messages("", "oak")[1:],
            "rejected": messages("", "elm")[1:],
        },
    ]
    path = write(tmp_path / "a.jsonl", *map(json.dumps, [trl, whole, *chats]))
    one, two, three, four = read_pairs(path)
    assert one == two
    assert (one.prompt, {one.first, one.second}) == ("which tree?", {" oak", " old oak"})
    assert (
        three
        == four
        == make_pair(*(f"\n\nHuman: which?\n\nAssistant: {t}" for t in ("oak", "elm")))
    )
    for bad, message in {
        '{"prompt": "a", "chosen": "b"}': "no text under 'rejected'",
        '{"chosen": [], "rejected": []}': "no text under 'chosen'",
        '{"chosen": [{"role": "x", "content": ""}], "rejected": "a"}': "message 0 under 'chosen'",
        '{"prompt": 3, "chosen": "b", "rejected": "c"}': "no text under 'prompt'",
    }.items():
        with pytest.raises(ValueError, match=f"line 1: {message}"):
            read_pairs(write(tmp_path / "b.jsonl", bad))


def test_windows_files_and_lists_on_a_line(tmp_path: Path) -> None:
    wanted = read_pairs(write(tmp_path / "a.jsonl", *GOOD))
    path = tmp_path / "b.jsonl"
    path.write_bytes(b"\xef\xbb\xbf" + "\r\n".join(GOOD).encode())
    assert read_pairs(path) == wanted
    path.write_text("\n".join(GOOD).replace("\\n", "\\r\\n"))
    assert read_pairs(path) == wanted
    path.write_text(f"[{','.join(GOOD)}]")
    assert read_pairs(path) == wanted


@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.gz"])
def test_a_line_has_a_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(pairs, "LONGEST_LINE", 200)
    path = write(tmp_path / name, *GOOD, "x" * 300)
    for malformed in pairs.MALFORMED:
        with pytest.raises(ValueError, match=rf"{name}, line 7 is longer than 200 bytes"):
            read_pairs(path, malformed=malformed)


ROW = {"chosen": f"{HEAD} a", "rejected": f"{HEAD} b"}
TEXT = json.dumps(ROW)
TALK = [{"role": "user", "content": "q"}]
SAID = [{"role": "assistant", "content": word} for word in "ab"]
#: Files that hold pairs all the same, in bytes, and how many.
READ: dict[str, tuple[bytes, int]] = {
    "another separator of lines in a text": (
        json.dumps({**ROW, "chosen": f"{HEAD} a\u2028x"}, ensure_ascii=False).encode(), 1
    ),
    "a zero in a text": (json.dumps({**ROW, "chosen": f"{HEAD} a\0x"}).encode(), 1),
    "a whole surrogate pair": (TEXT.replace(" a", r" \ud83d\ude00").encode(), 1),
    "more keys": (json.dumps(ROW | {"score": [1, {"x": None}]}).encode(), 1),
    "no prompt given": (json.dumps(ROW | {"prompt": None}).encode(), 1),
    "a system message": (
        json.dumps({k: [{"role": "system", "content": "s"}, *TALK, SAID[i]]
                    for i, k in enumerate(ROW)}).encode(), 1
    ),
    "messages against text": (
        json.dumps({"prompt": "q", "chosen": SAID[:1], "rejected": "b"}).encode(), 1
    ),
    "two packed parts": (
        gzip.compress(f"{TEXT}\n".encode()) + gzip.compress(TEXT.replace(" a", " c").encode()), 2
    ),
    "spaces around": (f"  {TEXT}\t\r\n\r\n".encode(), 1),
}  # fmt: skip


@pytest.mark.parametrize("case", READ)
def test_files_that_are_read_all_the_same(case: str, tmp_path: Path) -> None:
    content, many = READ[case]
    path = tmp_path / ("a.jsonl.gz" if content[:2] == b"\x1f\x8b" else "a.jsonl")
    path.write_bytes(content)
    assert len(read_pairs(path)) == many


#: Files that are not, and what is said of their line 1.
NOT_READ: dict[str, tuple[bytes, str]] = {
    "UTF-16": (TEXT.encode("utf-16"), "line 1: not JSON"),
    "UTF-16 without a mark": (TEXT.encode("utf-16-le"), "line 1: not JSON"),
    "Latin-1": (TEXT.replace(" a", " é").encode("latin-1"), "line 1: not Unicode"),
    "half of a character in a prompt": (
        b'{"prompt": "q \\ud83d", "chosen": "a", "rejected": "b"}', "line 1: not Unicode"
    ),
    "half of one in a message": (
        b'{"prompt": [{"role": "user", "content": "\\udc00"}], "chosen": "a", "rejected": "b"}',
        "line 1: not Unicode",
    ),
    "halves in the wrong order": (
        TEXT.replace(" a", r" \ude00\ud83d").encode(), "line 1: not Unicode"
    ),
    "bytes of a half": (b'{"chosen": "\xed\xa0\xbd", "rejected": "x"}', "line 1: not Unicode"),
    "old line ends": (f"{TEXT}\r{TEXT}".encode(), "line 1: not JSON"),
    "over several lines": (json.dumps([ROW], indent=1).encode(), "line 1: not JSON"),
    "zeros": (b"\0" * 50, "line 1: not JSON"),
    "no number": (b'{"chosen": NaN, "rejected": "b"}', "line 1: no text under 'chosen'"),
    "a number of many digits": (b'{"chosen": ' + b"9" * 5000 + b"}", "line 1: "),
    "nested deeply": (b"[" * 100_000, "line 1: JSON that is nested too deeply"),
    "ShareGPT": (
        b'{"conversations": [], "chosen": {"from": "gpt", "value": "a"}, "rejected": {}}',
        "line 1: no text under 'chosen'",
    ),
    "other names": (b'{"prompt": "q", "response_j": "a"}', "line 1: no text under 'chosen'"),
    "a call of a tool": (
        json.dumps({"chosen": [*TALK, {"role": "assistant", "content": None}],
                    "rejected": [*TALK, SAID[1]]}).encode(),
        "line 1: message 1 under 'chosen'",
    ),
    "prompts that differ": (
        json.dumps({"chosen": [*TALK, SAID[0]],
                    "rejected": [{"role": "user", "content": "z"}, SAID[1]]}).encode(),
        "line 1: the two texts share no prompt",
    ),
    "nothing": (b"", "holds no pairs"),
    "only a mark": (b"\xef\xbb\xbf\r\n", "holds no pairs"),
}  # fmt: skip


@pytest.mark.parametrize("case", NOT_READ)
def test_files_that_are_not_read_name_the_line(case: str, tmp_path: Path) -> None:
    content, message = NOT_READ[case]
    (tmp_path / "a.jsonl").write_bytes(content)
    with pytest.raises(ValueError, match=message) as caught:
        read_pairs(tmp_path / "a.jsonl")
    assert "a.jsonl" in str(caught.value)


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("latest-train", "train"), ("test", "test"), ("my_test", "test"), ("Test", "test"),
        ("data.test.2", "test"), ("contest", None), ("testing", None), ("pretrain", None),
        ("train_small", "train"), ("attestation", None), ("test-train", "test"),
        ("greatest", None), ("trainer", None), ("test2", None), ("TRAIN-00", "train"),
        ("Contest", None),
    ],
)  # fmt: skip
def test_a_split_by_names_of_all_sorts(name: str, split: str | None, tmp_path: Path) -> None:
    """A whole word of the name, the first that is one; other names belong to no split."""
    write(tmp_path / f"{name}.jsonl", TEXT)
    found = []
    for one in ("train", "test"):
        try:
            found += [one] * len(read_pairs(tmp_path, one))
        except ValueError as error:
            assert f"{name}.jsonl" in str(error)  # noqa: PT017
    assert found == ([] if split is None else [split]) or name == "test-train"


@pytest.mark.parametrize("change", ["none", "swapped", "Windows", "spaces", "keys"])
def test_a_pair_is_the_same_however_it_is_written(change: str, tmp_path: Path) -> None:
    """So that none is trained on and measured on under another guise."""
    rows = [json.loads(each) for each in GOOD]
    if change == "swapped":
        rows = [{"chosen": r["rejected"], "rejected": r["chosen"]} for r in rows]
    if change == "keys":
        rows = [{"id": k, **dict(reversed(r.items()))} for k, r in enumerate(rows)]
    text = "".join(json.dumps(r, indent=None) + "\n" for r in rows)
    text = text.replace("\n", "\r\n") if change == "Windows" else text
    text = text.replace(", ", " ,  ") if change == "spaces" else text
    (tmp_path / "test.jsonl").write_bytes(text.encode())
    train, held = read_pairs(write(tmp_path / "a.jsonl", *GOOD)), read_pairs(tmp_path)
    with pytest.raises(ValueError, match=r"of 6 held-out pairs 6 are trained on too"):
        pairs.both_sides(train, held)


def test_split_is_a_whole_word_of_the_name(tmp_path: Path) -> None:
    for name in ("latest-train.jsonl", "my_test.jsonl", "contests.jsonl", "test.2.jsonl"):
        write(tmp_path / name, line(f" of {name}"))
    found = {text for p in read_pairs(tmp_path) for text in (p.first, p.second)}
    assert found == {" tall oaks", " of my_test.jsonl", " of test.2.jsonl"}
    assert len(read_pairs(tmp_path, "train")) == 1


def test_pairs_on_both_sides() -> None:
    many = [make_pair(f"{HEAD} a{i}", f"{HEAD} b{i}") for i in range(6)]
    with pytest.raises(ValueError, match=r"of 3 held-out pairs 1 are trained on too, 3 have"):
        pairs.both_sides(many[:4], many[3:])
    with pytest.warns(UserWarning, match=r"of 3 held-out pairs none .* 3 have a prompt"):
        pairs.both_sides(many[:3], many[3:])


def test_empty_lines_are_no_pairs_and_lines_keep_their_numbers(tmp_path: Path) -> None:
    file = tmp_path / "train.jsonl"
    row = json.dumps(
        {"chosen": "\n\nHuman: a\n\nAssistant: b", "rejected": "\n\nHuman: a\n\nAssistant: c"}
    )
    file.write_text(f"\n{row}\n  \n\r\n{row.replace(' b', ' d')}\n\n")
    assert len(read_pairs(file, "train")) == 2
    file.write_text(f"\n{row}\n\nno\n")
    with pytest.raises(ValueError, match="line 4: not JSON"):
        read_pairs(file, "train")


def test_many_malformed_lines_are_counted(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", *["{"] * 8, *GOOD)
    with pytest.warns(UserWarning, match="skipped line 1 .* and 3 more"):
        read_pairs(path, malformed="skip")


def test_messages_do_not_quote_the_data(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", '{"chosen": "secret words", "rejected"')
    with pytest.raises(ValueError, match="not JSON") as caught:
        read_pairs(path)
    assert "secret" not in str(caught.value)


def test_interrupted_download(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl.gz", *GOOD * 50)
    path.write_bytes(path.read_bytes()[:-40])
    for malformed in pairs.MALFORMED:
        with pytest.raises(ValueError, match=r"not downloaded to its end.*fetch it again"):
            read_pairs(path, malformed=malformed)
    path.write_bytes(b"<html>404</html>")
    with pytest.raises(ValueError, match="damaged"):
        read_pairs(path)


@pytest.mark.parametrize(
    ("source", "options", "message"),
    [
        ("none.jsonl", {}, "none.jsonl does not exist"),
        ("a.txt", {}, "is not a .jsonl or .jsonl.gz file"),
        ("empty.jsonl", {}, "holds no pairs"),
        ("empty.jsonl", {"malformed": "ignore"}, "allowed are stop, skip"),
        ("empty.jsonl", {"limit": 0}, "a positive number of pairs or None"),
    ],
)
def test_bad_sources(tmp_path: Path, source: str, options: dict[str, Any], message: str) -> None:
    (tmp_path / "a.txt").touch()
    (tmp_path / "empty.jsonl").touch()
    with pytest.raises(ValueError, match=message):
        read_pairs(tmp_path / source, **options)


def test_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    datasets = pytest.importorskip("datasets")
    asked = []

    def load(name: str, data_dir: str | None, split: str) -> list[dict[str, str]]:
        asked.append((name, data_dir, split))
        return [json.loads(each) for each in [*GOOD, line("", " b")]]

    monkeypatch.setattr(datasets, "load_dataset", load)
    with pytest.warns(UserWarning, match=r"owner/data \(train\): skipped row 7"):
        assert len(read_pairs("hub:owner/data", "train", malformed="skip")) == len(GOOD)
    parts = ["hub:owner/data:one", "hub:owner/data:two"]
    with pytest.warns(UserWarning, match=r"owner/data:(one|two) \(test\): skipped row 7"):
        both = read_pairs(parts, "test", "skip")
    assert len(both) == 2 * len(GOOD)
    assert asked[0] == ("owner/data", None, "train")
    assert asked[1:] == [("owner/data", part, "test") for part in ("one", "two")]


@pytest.mark.parametrize("error", [ConnectionError("reset by peer"), OSError(), EOFError("short")])
def test_hub_interrupted(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    datasets = pytest.importorskip("datasets")

    def load(name: str, data_dir: str | None, split: str) -> None:
        raise error

    monkeypatch.setattr(datasets, "load_dataset", load)
    message = f"hub:owner/data, split 'test', could not be downloaded .{type(error).__name__}.*run"
    with pytest.raises(ValueError, match=message):
        read_pairs("hub:owner/data")


def test_split_by_prompt() -> None:
    many = [
        make_pair(f"\n\nHuman: {q}\n\nAssistant: a{i}", f"\n\nHuman: {q}\n\nAssistant: b{i}")
        for q in range(400)
        for i in range(2)
    ]
    train, test = split_by_prompt(many, 0.25, seed=1)
    assert not {p.prompt for p in train} & {p.prompt for p in test}
    assert sorted(p.key for p in train + test) == sorted(p.key for p in many)
    assert abs(len(test) / len(many) - 0.25) < 0.08
    assert split_by_prompt(many[::-1], 0.25, seed=1)[1] == test[::-1]
    assert split_by_prompt(many, 0.25, seed=2)[1] != test
    with pytest.raises(ValueError, match="held_out is 1"):
        split_by_prompt(many, 1)
    with pytest.raises(ValueError, match="one side of the split empty"):
        split_by_prompt(many[:1], 0.5)
