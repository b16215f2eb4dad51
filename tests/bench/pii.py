"""How well the recognizers of personal data find it: `python -m tests.bench.pii [--kind K] [--half seen|unseen] [--show N]`.

300 made-up texts a kind (see `pii_texts.py`), half of the sentences never looked at while the recognizers were written.
A span counts as found if kind, start and end are right; `touched` counts spans that overlap one of the kind.
"""

import argparse
import time

from router.pii import find
from tests.bench.pii_texts import CARRIERS, texts

N = 300


def measure(kind: str, half: str | None, seed: int, show: int) -> tuple[float, float, float, float, float]:
    """Precision and recall of exact spans, the same of touched ones, and milliseconds a text."""
    right = said = there = touched_said = touched_there = 0
    shown, spent = 0, 0.0
    for one in texts(kind, N, seed, half):  # type: ignore[arg-type]
        started = time.perf_counter()
        found = [(s.start, s.end) for s in find(one.text, [kind])]  # type: ignore[list-item]
        spent += time.perf_counter() - started
        wanted = set(one.spans)
        right += len(wanted & set(found))
        said += len(found)
        there += len(wanted)
        touched_said += sum(any(a < d and c < b for c, d in wanted) for a, b in found)
        touched_there += sum(any(a < d and c < b for c, d in found) for a, b in wanted)
        if shown < show and set(found) != wanted:
            shown += 1
            print(
                f"  {one.text!r}\n    wanted {[one.text[a:b] for a, b in wanted]}, found {[one.text[a:b] for a, b in found]}"
            )
    return right / said, right / there, touched_said / said, touched_there / there, spent / N * 1e3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kind", choices=[*CARRIERS, "name"])
    parser.add_argument("--half", choices=["seen", "unseen"])
    parser.add_argument("--seed", type=int, default=2)
    parser.add_argument("--show", type=int, default=0, help="wrong texts to print; for the seen half")
    args = parser.parse_args()
    find("Anna, +1 212 555 0100")  # loads the lists
    print(
        "| kind | texts | precision | recall | precision, touched | recall, touched | ms |\n|---|---|---|---|---|---|---|"
    )
    for kind in [args.kind] if args.kind else [*CARRIERS, "name"]:
        for half in [args.half] if args.half else ["seen", "unseen"]:
            p, r, tp, tr, ms = measure(kind, half, args.seed, args.show)
            print(f"| {kind} | {half} | {p:.1%} | {r:.1%} | {tp:.1%} | {tr:.1%} | {ms:.2f} |")


if __name__ == "__main__":
    main()
