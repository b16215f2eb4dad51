"""Makes `lists/`: given names, family names and common words, which the name recognizer looks words up in.

    python -m router.pii.make_lists --given GIVEN.csv.gz --given-more NAMES.txt --family FAMILY.txt \\
        --family-more NAMES.txt --corpus TEXTS.jsonl.gz … --out router/pii/lists

`--given` is the US Social Security Administration's name,sex,count,year table and `--family` the US Census' list, both
in the public domain; the `more` files hold a name a line. The corpus says which names are ordinary words as well. Knows
nothing of how the lists are used. Blocks; run by hand when the sources change.
"""

import argparse
import csv
import gzip
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

LEAST_BEARERS = 1500
"""People a given name must have had in the US table; rarer ones are mostly misspellings."""
FAMILIES = 25_000
"""Family names taken from the US list, commonest first."""
COMMON_WORDS = 9
"""Times a word must stand in small letters in the corpus to be a common word."""

_WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)?")
_BEFORE_SENTENCE = re.compile(r"(?:^|[.!?:\n\"“(])\s*$")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--given", type=Path, required=True)
    parser.add_argument("--given-more", type=Path, required=True)
    parser.add_argument("--family", type=Path, required=True)
    parser.add_argument("--family-more", type=Path, required=True)
    parser.add_argument("--corpus", type=Path, nargs="+", required=True)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    small, capital = words(args.corpus)
    given = {name.casefold() for name in bearers(args.given)} | set(simple(args.given_more))
    family = set(simple(line.split()[0] for line in args.family.read_text().splitlines()[:FAMILIES]))
    family |= set(simple(args.family_more))
    args.out.mkdir(exist_ok=True)
    write(args.out / "given.txt.gz", (mark(name, small, capital) for name in sorted(given)))
    write(args.out / "family.txt.gz", (mark(name, small, capital) for name in sorted(family)))
    write(args.out / "common.txt.gz", sorted(word for word, n in small.items() if n >= COMMON_WORDS and len(word) > 1))


def bearers(path: Path) -> Iterator[str]:
    """Given names with enough bearers."""
    counts: Counter[str] = Counter()
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        for row in csv.DictReader(lines):
            counts[row["first_name"]] += int(row["count"])
    return (name for name, n in counts.items() if n >= LEAST_BEARERS)


def simple(source: Path | Iterable[str]) -> Iterator[str]:
    """Names of one word, in small letters."""
    lines = source.read_text(encoding="utf-8").splitlines() if isinstance(source, Path) else source
    for line in lines:
        name = line.strip().casefold().replace("’", "'")
        if len(name) > 1 and re.fullmatch(r"[^\W\d_]+(?:['-][^\W\d_]+)*", name):
            yield name


def words(corpus: Iterable[Path]) -> tuple[Counter[str], Counter[str]]:
    """How often each word stands in small letters, and with a capital within a sentence."""
    small: Counter[str] = Counter()
    capital: Counter[str] = Counter()
    for path in corpus:
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            for line in lines:
                row = json.loads(line)
                text = row.get("prompt") or row.get("question") or ""
                for found in _WORD.finditer(text):
                    word = found[0]
                    if word.islower():
                        small[word] += 1
                    elif word.istitle() and not _BEFORE_SENTENCE.search(text, 0, found.start()):
                        capital[word.casefold()] += 1
    return small, capital


def mark(name: str, small: Counter[str], capital: Counter[str]) -> str:
    """The name, with a * after it if it is an ordinary word as well."""
    return f"{name}*" if small[name] >= 2 and 2 * small[name] > capital[name] else name


def write(path: Path, lines: Iterable[str]) -> None:
    """A gzip that is the same for the same lines."""
    with path.open("wb") as file, gzip.GzipFile(fileobj=file, mode="wb", mtime=0, filename="") as out:
        out.write("\n".join(lines).encode())


if __name__ == "__main__":
    main()
