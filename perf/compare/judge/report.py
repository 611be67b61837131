"""Results as text, Markdown and JSON."""
from . import goals

PLACES = {0: "out of place", 1: "in place"}
CACHES = {0: "warm", 1: "cold"}
NAMES = {
    "openmpi": "Open MPI", "mpich": "MPICH", "impi": "Intel MPI", "oneccl": "oneCCL", "gloo": "Gloo (PyTorch)",
    "floor": "floor: straight C", "tutti-mem": "Tutti, ncclMemAlloc",
}


def size_text(size):
    for shift, unit in ((30, "G"), (20, "M"), (10, "K")):
        if size >= 1 << shift and size % (1 << shift) == 0:
            return f"{size >> shift}{unit}"
    return str(size)


def time_text(us):
    if us >= 1000:
        return f"{us / 1000:.3g} ms"
    return f"{us:.2f} us" if us < 10 else f"{us:.3g} us"


def ratio_text(ratio):
    return f"{ratio:.2f}" if ratio >= 0.095 else f"{ratio:.3f}"


def mark(verdicts, what):
    """'met', 'missed (goal 0.70)' or '' for one kind of verdict."""
    for verdict in verdicts:
        if verdict["what"] == what:
            return "met" if verdict["met"] else f"**missed** (goal {verdict['goal']:g})"
    return ""


def groups(rows):
    """Rows of one table each: (coll, ranks, placement, in_place, cold) -> rows by size."""
    found = {}
    for row in rows:
        key = (row["coll"], row["ranks"], row["placement"], row["in_place"], row["cold"])
        found.setdefault(key, []).append(row)
    for key in sorted(found):
        yield key, sorted(found[key], key=lambda row: row["bytes"])


def table(rows, bold=False):
    """Lines of Markdown: one row per size. Ratios are Tutti's time / the other's, below 1 Tutti is faster."""
    names = [n for n in NAMES if any(n in row["best_of"] for row in rows)]
    head = ["size", "Tutti", "best peer", "ratio (quartiles)", "pairs", "goal"] + [NAMES[n] for n in names]
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for row in rows:
        verdicts = goals.judge(row)
        best = row.get("best")
        cells = [size_text(row["bytes"]), time_text(row["tutti_us"])]
        if best:
            ratio = best["ratio"]
            cells += [f"{NAMES.get(best['peer'], best['peer'])} ({best['config']}) {time_text(best['us'])}",
                      f"{ratio_text(ratio['median'])} ({ratio_text(ratio['q1'])} to {ratio_text(ratio['q3'])})",
                      str(ratio["n"]), mark(verdicts, "best peer")]
        else:
            cells += ["none", "", "", ""]
        for name in names:
            entry = next((c for c in row["configs"] if c["peer"] == name and c["config"] == row["best_of"].get(name)),
                         None)
            if entry is None:
                cells.append("")
            else:
                several = f" {entry['config']}" if name != "gloo" else ""
                cells.append(f"{ratio_text(entry['ratio']['median'])}{several}, {time_text(entry['us'])}")
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def goal_lines(rows):
    """Counts of met and missed goals, and every missed one."""
    kinds, missed = {}, []
    for row in rows:
        for verdict in goals.judge(row):
            kind = kinds.setdefault(verdict["what"], [0, 0])
            kind[0 if verdict["met"] else 1] += 1
            if not verdict["met"]:
                missed.append(f"- {row['coll']}, {row['ranks']} ranks, {row['placement']}, {size_text(row['bytes'])}, "
                              f"{PLACES[row['in_place']]}, {CACHES[row['cold']]}: {ratio_text(verdict['ratio'])} of "
                              f"{verdict['what']}, goal {verdict['goal']:.2g}")
    lines = [f"- against {what}: {met} met, {not_met} missed" for what, (met, not_met) in sorted(kinds.items())]
    return lines, missed


def markdown(result, chart=None):
    meta, rows = result["meta"], result["cells"]
    lines = [f"# Tutti beside its peers, {meta['date']}", ""]
    lines += [f"{meta['cpu']}, {meta['cores']} cores, {meta['system']}. Load of the machine when it began {meta['load'][0]}, "
              f"when it ended {meta['load'][1]}. Tutti {meta['commit']}.", ""]
    lines += ["    " + meta["command"], ""]
    if meta.get("caution"):
        lines += [f"**{meta['caution']}**", ""]
    lines += ["Times are means per call of the slowest rank; ratios are Tutti's time / the peer's (below 1: Tutti is faster), "
              "medians over interleaved pairs. `size` is the larger buffer of a rank. A peer stands in its best configuration.",
              ""]
    if chart:
        lines += [f"![Tutti's time / peer's time by size]({chart})", ""]
    lines += ["## Peers", ""]
    lines += [f"- {NAMES.get(name, name)}: {', '.join(found)}" for name, found in sorted(meta["versions"].items())]
    lines += [f"- **missing**: {NAMES.get(m['peer'], m['peer'])}{' (' + m['config'] + ')' if m.get('config') else ''}: "
              f"{m['reason']}" for m in result["missing"]]
    lines += ["", "## Pairs", "", f"{result['kept']} counted."]
    lines += [f"{count} dropped: {why}." for why, count in sorted(result["dropped"].items())]
    lines += [f"{ranks} ranks, {where}: {text}." for ranks, where, text in result["placements"]]
    if result["problems"]:
        lines += ["", "Runs that did not finish:", ""] + [f"- {text}: {n} times" for text, n in result["problems"].items()]
    counts, missed = goal_lines(rows)
    lines += ["", "## Goals", ""] + (counts or ["- nothing was measured that has a goal"])
    if missed:
        lines += ["", "Missed:", ""] + missed
    for (coll, ranks, where, in_place, cold), members in groups(rows):
        lines += ["", f"## {coll}, {ranks} ranks, {where}, {PLACES[in_place]}, {CACHES[cold]}", ""] + table(members)
    return "\n".join(lines) + "\n"


def console(result):
    """The short table for the terminal."""
    lines = []
    for (coll, ranks, where, in_place, cold), members in groups(result["cells"]):
        lines.append(f"{coll}, {ranks} ranks, {where}, {PLACES[in_place]}, {CACHES[cold]}")
        for row in members:
            best, verdicts = row.get("best"), goals.judge(row)
            text = f"  {size_text(row['bytes']):>6} {time_text(row['tutti_us']):>10}"
            if best:
                text += (f"  {ratio_text(best['ratio']['median']):>6} of {NAMES.get(best['peer'], best['peer'])} "
                         f"({best['config']}), n={best['ratio']['n']}  {mark(verdicts, 'best peer').replace('*', '')}")
            if "floor" in row:
                text += f"; {ratio_text(row['floor']['ratio']['median'])} of the floor"
            lines.append(text)
    lines += goal_lines(result["cells"])[0]
    return "\n".join(lines)
