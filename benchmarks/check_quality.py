"""How good `normwise check` is: on injected faults, and on real programs.

    python benchmarks/check_quality.py            measures what is missing, writes the page
    python benchmarks/check_quality.py --render   writes the page from what was measured
    python benchmarks/check_quality.py --again    measures all anew

Faults of every rule are put into healthy networks at random places (tests/rules/injection); what
is injected is the truth. The real programs are those of tests/rules/corpus. Every finished network
is kept in check_quality.json at once, so that the command can be interrupted and called again.
"""

import argparse
import json
import os
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))
os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from normwise.files import write_text  # noqa: E402 - after the settings above
from normwise.rules import RULES, Severity, check  # noqa: E402
from tests.rules.corpus import FAULTY, HEALTHY, Program  # noqa: E402

MEASURED = ROOT / "benchmarks" / "check_quality.json"
PAGE = ROOT / "docs" / "check-quality.md"
PLACES, SEED = 5, 0
RECALL, PRECISION = 0.95, 0.98
PUBLISHED = "recall 0.705 at precision 1.0 (NeuraLint, on 34 real programs)"

Row = dict[str, Any]


def main() -> None:
    """Measures what is missing and writes the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--render", action="store_true", help="write the page, measure nothing")
    parser.add_argument("--again", action="store_true", help="measure all anew")
    options = parser.parse_args()
    hosts = [] if options.again else load()
    if not options.render:
        from tests.rules.injection.hosts import HOSTS

        for name, make in HOSTS.items():
            if name not in {host["host"] for host in hosts}:
                hosts.append(measured(name, make()))
                save(hosts)
    write_text(PAGE, page(hosts))
    print(f"written: {PAGE}")


def load() -> list[Row]:
    """What was measured so far."""
    return list(json.loads(MEASURED.read_text())) if MEASURED.is_file() else []


def save(hosts: Sequence[Row]) -> None:
    """Keeps what was measured, a network a line."""
    write_text(MEASURED, "[\n" + ",\n".join(map(json.dumps, hosts)) + "\n]\n")


def measured(name: str, graph: Any) -> Row:
    """All faults in one network."""
    from tests.rules.injection.measure import base_findings, trials

    rows: dict[tuple[str, str], Row] = {}
    for trial in trials(name, graph, places=PLACES, seed=SEED):
        new = {"rule": trial.rule, "what": trial.what, "injected": 0, "found": 0, "loud": 0}
        row = rows.setdefault((trial.rule, trial.what), new)
        row["injected"] += 1
        row["found"] += bool(trial.found)
        row["loud"] += trial.found in ("warning", "error")
        add(row, "true", trial.true)
        add(row, "false", [rule for rule, _ in trial.false])
    found, injected = (sum(row[key] for row in rows.values()) for key in ("found", "injected"))
    print(f"{name}: {found} of {injected} faults found", flush=True)
    return {"host": name, "healthy": len(base_findings(graph)), "rows": list(rows.values())}


def add(row: Row, key: str, rules: Sequence[str]) -> None:
    """Counts rules in a row, where there are any."""
    if rules:
        row[key] = dict(Counter(row.get(key, {})) + Counter(rules))


def page(hosts: Sequence[Row]) -> str:
    """docs/check-quality.md."""
    rows = [row for host in hosts for row in host["rows"]]
    return "\n".join([HEAD, *summary(hosts), "", *by_rule(rows), "", *real_programs(), ""])


def totals(rows: Iterable[Row]) -> tuple[int, int, int, int]:
    """Faults injected and found; warnings and errors that are explained, and that are not."""
    rows = list(rows)
    return (
        sum(row["injected"] for row in rows),
        sum(row["found"] for row in rows),
        sum(sum(row.get("true", {}).values()) for row in rows),
        sum(sum(row.get("false", {}).values()) for row in rows),
    )


def summary(hosts: Sequence[Row]) -> list[str]:
    """The numbers over all rules, beside the goal and the published bar."""
    injected, found, true, false = totals(row for host in hosts for row in host["rows"])
    faulty, caught, noted, alarms = real_counts()
    return [
        "| | faults | found | recall | warnings | false | precision |",
        "|---|---|---|---|---|---|---|",
        f"| injected, {len(hosts)} healthy networks | {injected:,} | {found:,} | "
        f"{share(found, injected)} | {true + false:,} | {false:,} | {share(true, true + false)} |",
        f"| real programs, {faulty} faulty and {len(HEALTHY)} healthy | {faulty} | {caught} | "
        f"{share(caught, faulty)} | {caught + alarms} | {alarms} | "
        f"{share(caught, caught + alarms)} |",
        "",
        f"Goal on injected faults: recall {RECALL:g} and precision {PRECISION:g}. Published for "
        f"linters of deep-learning programs: {PUBLISHED}; the programs are others, so that the "
        "numbers can't be compared directly.",
        "",
        "A real fault counts as found where a warning or an error of its rule names its layers; "
        f"{noted} more {'is' if noted == 1 else 'are'} only noted. Precision on real programs "
        "counts each warning on a program without a known fault as false; what it says was "
        f"measured to be so for {shown_alarms()} of the {alarms} (at the end).",
    ]


def by_rule(rows: Sequence[Row]) -> list[str]:
    """The table of injected faults, a line a rule."""
    lines = [
        "## Injected faults",
        "",
        INJECTED,
        "",
        "| rule | severity | what was done | faults | found | as warning or error | recall | "
        "false warnings | precision |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    true, false = (
        sum((Counter(row.get(key, {})) for row in rows), Counter()) for key in ("true", "false")
    )
    for rule in RULES:
        own = [row for row in rows if row["rule"] == rule.name]
        if not own:
            continue  # it judges what is measured on data
        injected, found, _, _ = totals(own)
        loud, what = (
            sum(row["loud"] for row in own),
            "; ".join(dict.fromkeys(r["what"] for r in own)),
        )
        right, wrong = true[rule.name], false[rule.name]
        precise = share(right, right + wrong) if right + wrong else "-"
        lines.append(
            f"| [{rule.name}](rules/{rule.name}.md) | {rule.severity} | {what} | {injected} | "
            f"{found} | {loud} | {share(found, injected)} | {wrong} | {precise} |"
        )
    return [*lines, *missed_lines(rows)]


def missed_lines(rows: Sequence[Row]) -> list[str]:
    """What was not found, where anything was not."""
    missed = Counter[str]()
    for row in rows:
        missed[f"{row['rule']} ({row['what']})"] += row["injected"] - row["found"]
    told = [f"- {fault}: {count}" for fault, count in missed.most_common() if count]
    return ["", "Not found:", "", *told] if told else []


def real_counts() -> tuple[int, int, int, int]:
    """Faulty programs; those reported and those noted; warnings on healthy ones."""
    outcomes = Counter(outcome_of(program) for program in FAULTY)
    alarms = sum(len(loud_findings(program)) for program in HEALTHY)
    return len(FAULTY), outcomes["reported"], outcomes["noted"], alarms


def shown_alarms() -> int:
    """Warnings on healthy programs that say what was measured to be so."""
    return sum(len(loud_findings(program)) for program in HEALTHY if program.shown)


def loud_findings(program: Program) -> list[str]:
    """The rules of warnings and errors in a program, as check reports them now."""
    return [f.name for f in check(program.draw()).at_least(Severity.WARNING)]


def outcome_of(program: Program) -> str:
    """What becomes of a program's known fault now."""
    of_it = [
        finding.severity
        for finding in check(program.draw()).findings
        if finding.name == program.fault and set(finding.layers) & set(program.layers)
    ]
    if not of_it:
        return "missed"
    return "noted" if all(severity is Severity.INFO for severity in of_it) else "reported"


def real_programs() -> list[str]:
    """The tables of real programs."""
    lines = [
        "## Real programs",
        "",
        REAL,
        "",
        "| program | fault | confirmed by | outcome | also |",
    ]
    lines.append("|---|---|---|---|---|")
    for program in FAULTY:
        others = Counter(name for name in loud_findings(program) if name != program.fault)
        also = ", ".join(f"{name} ({count})" for name, count in others.items()) or "-"
        lines.append(
            f"| [{program.name}]({program.source}) | {program.fault} | "
            f"{program.confirmed or '-'} | {outcome_of(program)} | {also} |"
        )
    lines += ["", "Not reported:", ""]
    lines += [f"- {p.name}: {p.why}" for p in FAULTY if p.outcome != "reported"]
    lines += ["", "| program without a known fault | warnings |", "|---|---|"]
    for program in HEALTHY:
        found = Counter(loud_findings(program))
        told = ", ".join(f"{name} ({count})" for name, count in found.items()) or "none"
        lines.append(f"| [{program.name}]({program.source}) | {told} |")
    alarms = [f"- {p.name}: {p.why}" for p in HEALTHY if p.warnings]
    return [*lines, "", LOOKED_AT, "", *alarms]


def share(part: int, whole: int) -> str:
    """A share with three digits."""
    return f"{part / whole:.3f}" if whole else "-"


HEAD = """# How good the check is

Made by `make check-quality`, from faults that are put into healthy networks and from real programs.
"""

INJECTED = f"""Faults of every rule that needs no data, put into healthy networks (ours, those of
keras.applications, and the healthy programs below) at up to {PLACES} random places each by editing
their graphs. What is injected is the truth: a fault is found where a finding of its rule names its
layers. Every warning and error that is neither that nor a stated consequence (tests/rules/injection
says which, and why) counts as false. Each network is checked with a usual training and usual
weights, so that all rules look; these weights are drawn (variances from 0.3 to 2), and what the
published ones of keras.applications hold was not looked at.

These are the usual forms of each mistake, chosen by those who wrote the rules, and three rules were
mended because of what the first measurements showed (unnormalized-skip saw no gated skips,
tile-dependent-norm no map after reshapes, partial-coverage took the inside of a gate for a gap).
What people do is more varied: see the real programs."""

REAL = """Public Keras models from issues, pull requests and repositories, drawn anew in their
structure (tests/rules/corpus has what is known of each). They were chosen before they were checked;
those without a known fault are ones of which nobody says that their normalization is wrong. One
rule was mended for one of them: stacked-norm only noted what keras-resnet had at its end."""

LOOKED_AT = """Nobody complains of what these warnings say, so that they count as false above. Each
was looked at, and what the rule says of the place measured in the program's layers, with random
weights and on random input:"""

if __name__ == "__main__":
    main()
