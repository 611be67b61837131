"""A chart of ratios by size as SVG, one panel per ranks and placement. Nothing but strings."""
import math
from xml.sax.saxutils import escape

from .report import NAMES, size_text

COLOURS = {"openmpi": "#0072b2", "mpich": "#e69f00", "impi": "#009e73", "oneccl": "#cc79a7", "gloo": "#56b4e9",
           "floor": "#777777", "tutti-mem": "#d55e00"}
WIDTH, HEIGHT, LEFT, TOP, GAP = 420, 260, 60, 34, 62
LOW, HIGH = 0.01, 10.0


def y_of(ratio):
    clamped = min(max(ratio, LOW), HIGH)
    return HEIGHT * (math.log(HIGH) - math.log(clamped)) / (math.log(HIGH) - math.log(LOW))


def text(x, y, content, anchor="start", size=11, extra=""):
    return f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" text-anchor="{anchor}"{extra}>{escape(content)}</text>'


def panel(rows, title):
    """One set of axes with a line per peer; rows are of one collective, ranks and placement."""
    sizes = sorted({row["bytes"] for row in rows})
    x_of = {size: WIDTH * (i + 0.5) / len(sizes) for i, size in enumerate(sizes)}
    parts = [text(0, -10, title, size=13), f'<rect width="{WIDTH}" height="{HEIGHT}" fill="none" stroke="#999"/>']
    for tick in (0.01, 0.03, 0.1, 0.3, 1, 3, 10):
        y = y_of(tick)
        stroke = "#000" if tick == 1 else "#ddd"
        parts.append(f'<line x1="0" x2="{WIDTH}" y1="{y:.1f}" y2="{y:.1f}" stroke="{stroke}"/>')
        parts.append(text(-6, y + 4, f"{tick:g}", "end"))
    parts += [text(x_of[size], HEIGHT + 16, size_text(size), "middle", 10) for size in sizes]
    for name, colour in COLOURS.items():
        points = []
        for row in sorted(rows, key=lambda r: r["bytes"]):
            for entry in row["configs"]:
                if entry["peer"] == name and entry["config"] == row["best_of"].get(name):
                    points.append((x_of[row["bytes"]], y_of(entry["ratio"]["median"])))
        if points:
            path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
            parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
            parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>' for x, y in points]
    return "\n".join(parts)


def svg(rows, coll="all_reduce"):
    """Out of place where that was measured, warm. Empty text when there is nothing to draw."""
    panels = {}
    for row in rows:
        if row["coll"] == coll and not row["cold"]:
            panels.setdefault((row["ranks"], row["placement"]), []).append(row)
    if not panels:
        return ""
    parts, names = [], set()
    for index, ((ranks, where), members) in enumerate(sorted(panels.items())):
        # Gloo has calls in place only: its points come from those rows, all others' from the rows out of place.
        place = 0 if any(not row["in_place"] for row in members) else 1
        chosen = [dict(row, configs=[c for c in row["configs"] if (c["peer"] == "gloo") == bool(row["in_place"])])
                  for row in members] if place == 0 else members
        names |= {entry["peer"] for row in chosen for entry in row["configs"]}
        x = LEFT + (index % 2) * (WIDTH + GAP)
        y = TOP + (index // 2) * (HEIGHT + GAP)
        parts.append(f'<g transform="translate({x},{y})">{panel(chosen, f"{coll}, {ranks} ranks, {where}")}</g>')
    lines = (len(panels) + 1) // 2
    columns = min(2, len(panels))
    bottom = TOP + lines * (HEIGHT + GAP)
    legend = []
    for i, name in enumerate(n for n in COLOURS if n in names):
        x, y = LEFT + (i % 4) * 200, bottom + 4 + (i // 4) * 18
        legend.append(f'<rect x="{x}" y="{y - 9}" width="14" height="4" fill="{COLOURS[name]}"/>')
        legend.append(text(x + 20, y, NAMES[name]))
    width, height = max(LEFT + columns * (WIDTH + GAP), LEFT + 820), bottom + 60
    note = text(LEFT, bottom + 48, "Tutti's time / the other's time, medians; below 1 Tutti is faster (buffers warm, out of place; Gloo in place)")
    return (f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" font-family="sans-serif">\n'
            f'<rect width="{width}" height="{height}" fill="#fff"/>\n' + "\n".join(parts + legend) + f"\n{note}\n</svg>\n")
