"""The signal `language` on texts written for this: how often it is right, its time per prompt, its memory.

    python -m tests.bench.language [--errors]

25 languages, ten sentences and eight short queries each, and English requests that carry code or foreign names
(`language_texts.yaml`). Nothing was trained or tuned on them.
"""

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import yaml

from router.signals.language import Params, classifier

TEXTS = Path(__file__).with_name("language_texts.yaml")

Classify = Callable[[str], tuple[str, float]]


def told(name: str, rows: list[tuple[str, str]], classify: Classify, *, errors: bool) -> None:
    """Print what share of (language, text) is right, and of those sure enough for the signal to name one."""
    least = Params.model_validate({}).min_confidence
    answers = [(wanted, text, *classify(text)) for wanted, text in rows]
    right = sum(wanted == code for wanted, _, code, _ in answers)
    sure = [row for row in answers if row[3] >= least]
    right_of_sure = sum(wanted == code for wanted, _, code, _ in sure)
    print(
        f"{name:10} {right:3}/{len(rows)} right ({100 * right / len(rows):.1f}%); "
        f"named at {least:g}: {100 * len(sure) / len(rows):.1f}%, right of those {100 * right_of_sure / len(sure):.1f}%"
    )
    if errors:
        for wanted, text, code, confidence in answers:
            if wanted != code:
                print(f"  {wanted} taken for {code} ({confidence:.2f}): {text!r}")


def microseconds(classify: Classify, text: str, times: int = 2000) -> float:
    """CPU time of one prompt, in µs."""
    classify(text)
    began = time.process_time()
    for _ in range(times):
        classify(text)
    return (time.process_time() - began) / times * 1e6


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.language")
    parser.add_argument("--errors", action="store_true", help="list what was wrong")
    chosen = parser.parse_args()
    process = psutil.Process()
    before, began = process.memory_info().rss, time.perf_counter()
    classify, known = classifier()
    classify("hello")
    load_s, grown = time.perf_counter() - began, process.memory_info().rss - before
    print(f"{len(known)} languages, loaded in {load_s:.3f} s, {grown / 1e6:.1f} MB")
    texts = yaml.safe_load(TEXTS.read_text())
    mixed = texts.pop("mixed")
    for kind in ("sentences", "short"):
        rows = [(code, text) for code, by_kind in texts.items() for text in by_kind[kind]]
        told(kind, rows, classify, errors=chosen.errors)
    told("mixed", [("en", text) for text in mixed], classify, errors=chosen.errors)
    text = " ".join(texts["de"]["sentences"])
    for length in (40, 400):
        print(f"{microseconds(classify, text[:length]):.0f} µs CPU for {length} characters")


if __name__ == "__main__":
    main()
