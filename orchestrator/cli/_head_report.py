"""How a head's measurement is told: as JSON, or as tables. Knows no command."""

from typing import TYPE_CHECKING, Any

from orchestrator.cli._common import out, table

if TYPE_CHECKING:
    from router.head_training import Report


def told(report: "Report") -> dict[str, Any]:
    """A report as data: every rate with its 95% interval and its counts."""
    from router.head_training import interval

    def rate(hits: int, number: int) -> dict[str, Any]:
        low, high = interval(hits, number)
        return {"rate": hits / number if number else None, "low": low, "high": high, "hits": hits, "of": number}

    return {
        "n": report.rows,
        "accuracy": report.accuracy,
        "low": report.low,
        "high": report.high,
        "ece": report.ece,
        "of_labels": {
            label: {
                "recall": rate(*report.recall(i)),
                "false_positives": rate(*report.false_positives(i)),
                "auc": report.auc[i],
            }
            for i, label in enumerate(report.labels)
        },
        "confusion": {"labels": report.labels, "rows": report.confusion},
    }


def kept(report: "Report") -> dict[str, Any]:
    """What of a report is kept in a head's file."""
    return {
        "rows": report.rows,
        "accuracy": round(report.accuracy, 4),
        "interval": [round(report.low, 4), round(report.high, 4)],
        "ece": round(report.ece, 4),
        "of_labels": {
            label: {
                "recall": _share(*report.recall(i)),
                "false_positives": _share(*report.false_positives(i)),
                "auc": None if report.auc[i] is None else round(report.auc[i] or 0.0, 4),
            }
            for i, label in enumerate(report.labels)
        },
    }


def _share(hits: int, number: int) -> float | None:
    return round(hits / number, 4) if number else None


def show(report: "Report", title: str) -> None:
    """Print recall, false positives and AUC of each label, the confusion table, accuracy and calibration."""
    from router.head_training import interval

    def rate(hits: int, number: int) -> str:
        low, high = interval(hits, number)
        return f"{hits / number:6.1%} [{low:.1%}, {high:.1%}] of {number:,}" if number else "–"

    console = out()
    if not report.rows:
        console.print(f"{title}: no text, so nothing is measured", markup=False, soft_wrap=True)
        return
    shown = table("label", "recall", "false positives", "AUC", title=title)
    for i, label in enumerate(report.labels):
        auc = report.auc[i]
        shown.add_row(
            label, rate(*report.recall(i)), rate(*report.false_positives(i)), "–" if auc is None else f"{auc:.3f}"
        )
    console.print(shown)
    marks = [chr(ord("a") + i) if i < 26 else str(i) for i in range(len(report.labels))]
    confusion = table("", "true, said as", *marks)
    for mark, label, row in zip(marks, report.labels, report.confusion, strict=True):
        confusion.add_row(mark, label, *(str(count) if count else "·" for count in row))
    console.print(confusion)
    console.print(
        f"accuracy {report.accuracy:.1%} [{report.low:.1%}, {report.high:.1%}] on {report.rows:,} texts; "
        f"expected calibration error {report.ece:.3f}",
        markup=False,
        soft_wrap=True,
    )
