"""Writes `wordnet.tsv.gz` out of the files of WordNet 3.0: `python -m orchestrator.wording.make_wordnet FOLDER`.

FOLDER holds index.*, data.*, *.exc and cntlist.rev (Debian's wordnet-base: /usr/share/wordnet). Kept are the single words
that are in use, with their parts of speech (the commonest first), the words that mean the same in the first sense of
both, the words of another class made from them (regular, regularly) and irregular forms. Not kept: who does a thing
(employer, employee), as that is another thing than doing it.
"""

import argparse
import gzip
import re
from collections import defaultdict
from pathlib import Path
from typing import NamedTuple

OUT = Path(__file__).parent / "wordnet.tsv.gz"
_POS = {"noun": "n", "verb": "v", "adj": "a", "adv": "r"}
_CLASSES = ("", "n", "v", "a", "r", "a")
"""Parts of speech as sense keys number them."""
_SINGLE = re.compile(r"[a-z]{2,}")
_DOER = re.compile(r".*(?:er|or|ee|ist|ian|less|able|ible|ship|hood|man|woman|ant|ess|arian|ism)")
_WIDE = 3
"""Ranks of a sense in two words, added, up to which the words may mean the same where nothing else differs."""
_LICENCE = (
    "# From WordNet 3.0, Copyright 2006 by Princeton University. All rights reserved. https://wordnet.princeton.edu"
)


class _Derived(NamedTuple):
    source: tuple[str, str, str]
    target: tuple[str, str, str]


class _Files:
    """What the files say: senses of words in order, words of senses, derivations."""

    def __init__(self, folder: Path) -> None:
        self.used: dict[tuple[str, str], int] = defaultdict(int)
        for line in (folder / "cntlist.rev").read_text().splitlines():
            key, _, times = line.split()
            word, rest = key.split("%")
            self.used[word, _CLASSES[int(rest[0])]] += int(times)
        self.rank: dict[tuple[str, str, str], int] = {}
        self.words: dict[tuple[str, str], list[str]] = {}
        pointers = []
        for name, pos in _POS.items():
            for line in _lines(folder / f"index.{name}"):
                fields = line.split()
                for rank, sense in enumerate(fields[-int(fields[2]) :]):
                    self.rank[fields[0], pos, sense] = rank
            for line in _lines(folder / f"data.{name}"):
                fields = line.split("|")[0].split()
                sense, end = fields[0], 4 + 2 * int(fields[3], 16)
                self.words[pos, sense] = [re.sub(r"\(.*", "", word) for word in fields[4:end:2]]
                for at in range(end + 1, end + 1 + 4 * int(fields[end]), 4):
                    pointers.append((pos, sense, *fields[at : at + 4]))
        self.derived = [
            _Derived(
                (self.words[pos, sense][int(ends[:2], 16) - 1].lower(), pos, sense),
                (self.words[to_pos.replace("s", "a"), to][int(ends[2:], 16) - 1].lower(), to_pos.replace("s", "a"), to),
            )
            for pos, sense, kind, to, to_pos, ends in pointers
            if kind in ("+", "\\") and ends != "0000"
        ]
        self.opposed = [
            (
                self.words[pos, sense][int(ends[:2], 16) - 1].lower(),
                self.words[to_pos.replace("s", "a"), to][int(ends[2:], 16) - 1].lower(),
            )
            for pos, sense, kind, to, to_pos, ends in pointers
            if kind == "!" and ends != "0000"
        ]


def _lines(path: Path) -> list[str]:
    return [line for line in path.read_text().splitlines() if not line.startswith(" ")]


def made(folder: Path) -> list[str]:
    """The lines of the list: word, parts of speech, words of the same meaning, words derived; then irregular forms."""
    files = _Files(folder)
    classes: dict[str, set[str]] = defaultdict(set)
    for (pos, _), words in files.words.items():
        for word in words:
            if _SINGLE.fullmatch(word):
                classes[word].add(pos)
    order = {word: sorted(poses, key=lambda p, w=word: (-files.used[w, p], p)) for word, poses in classes.items()}  # type: ignore[misc]
    same: dict[str, set[str]] = defaultdict(set)
    for (pos, sense), words in files.words.items():
        first = [w for w in words if w in order and order[w][0] == pos and files.rank[w, pos, sense] == 0]
        for word in first:
            same[word].update(other for other in first if other != word)
    derived: dict[str, set[str]] = defaultdict(set)
    for source, target in files.derived:
        one, other = source[0], target[0]
        fits = one in order and other in order and one != other and files.rank[source] + files.rank[target] <= 2
        if fits and not _DOER.fullmatch(one) and not _DOER.fullmatch(other):
            derived[one].add(other)
            derived[other].add(one)
    wide: dict[str, set[str]] = defaultdict(set)
    for (pos, sense), words in files.words.items():
        known = [w for w in words if w in order]
        for one in known:
            for other in known:
                if one != other and files.rank[one, pos, sense] + files.rank[other, pos, sense] <= _WIDE:
                    wide[one].add(other)
    against: dict[str, set[str]] = defaultdict(set)
    for one, other in files.opposed:
        if one in order and other in order:
            against[one].add(other)
    used = {word: sum(files.used[word, pos] for pos in "nvar") for word in order}
    lines = [
        f"{word}\t{''.join(order[word])}\t{' '.join(sorted(same[word]))}\t{' '.join(sorted(derived[word]))}"
        f"\t{' '.join(sorted(wide[word] - same[word]))}\t{' '.join(sorted(against[word]))}"
        for word in sorted(order)
        if used[word] or any(used[other] for other in same[word] | derived[word])
    ]
    irregular = {
        (form, base)
        for name in ("noun", "verb")
        for form, base, *_ in map(str.split, (folder / f"{name}.exc").read_text().splitlines())
        if _SINGLE.fullmatch(form) and _SINGLE.fullmatch(base)
    }
    return [_LICENCE, *lines, *(f"{form}\t={base}" for form, base in sorted(irregular))]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    lines = made(parser.parse_args().folder)
    OUT.write_bytes(gzip.compress("\n".join(lines).encode(), 9, mtime=0))
    print(f"{len(lines)} lines, {OUT.stat().st_size} bytes")


if __name__ == "__main__":
    main()
