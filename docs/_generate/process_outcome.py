"""The figures of the page on process and outcome; types in no figure.

python docs/_generate/process_outcome.py STORE    measure on the embedded model (STORE keeps the answers), then draw
python docs/_generate/process_outcome.py          draw again from docs/methods/process_outcome.json
"""

from __future__ import annotations

import sys

from training_charts import dots, draw, finding, point, shown, table, write

from stepladder.core import Finding
from stepladder.methods.training.process_outcome import METHOD

NAMES = {"process": "steps", "outcome": "answers", "outcome_without_cue": "answers, cue means nothing"}


def main(seen: Finding) -> None:
    """Pictures and tables of one finding."""
    accuracy = seen.select("accuracy")
    rows = [point(m, group=f"trained on {NAMES[m.labels['arm']]}", series=f"cue {m.labels['cue']}") for m in accuracy]
    draw(dots(rows, "Right answers"), "process_outcome")
    body = []
    for m in seen.select("accuracy", cue="valid"):
        arm = m.labels["arm"]
        broken = seen.one("accuracy", arm=arm, cue="broken")
        cells = [seen.one(name, arm=arm) for name in ("follows_cue", "right_for_wrong_reason")]
        utility = seen.one("utility_change", arm=arm)
        body.append([NAMES[arm], *map(shown, (m, broken, *cells)), shown(utility, sign=True)])
    head = "trained on|right, cue valid|right, cue broken|gives the broken cue|right for wrong reason|facts change, points"
    more = [
        ["right answers whose every step is right", shown(seen.one("sound_steps"))],
        *(
            [f"steps minus answers, cue {m.labels['cue']}, points", shown(m, sign=True)]
            for m in seen.select("process_minus_outcome")
        ),
    ]
    write("process_outcome", table(head, body) + "\n" + table("measured|value", more))


if __name__ == "__main__":
    main(finding(METHOD, sys.argv[1] if len(sys.argv) > 1 else None))
