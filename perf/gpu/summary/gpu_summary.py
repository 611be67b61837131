#!/usr/bin/env python3
"""Writes docs/results/gpu-<chip>-<date>.md from the JSON of the GPU programs. Standard library only."""

import argparse
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

from lines import all_lines  # noqa: E402
from results import Results  # noqa: E402

MACHINE_KEYS = ("gpu", "compute_capability", "sm_count", "sm_clock_mhz", "memory_clock_mhz", "memory_bus_bits", "memory_gib",
                "l2_mib", "copy_engines", "pcie_generation", "pcie_lanes", "pcie_assumed", "host_numa_node", "mps_enabled", "num_cpus",
                "cuda_driver", "cuda_runtime", "limit_hbm_GBps", "limit_pcie_GBps", "limit_bf16_TFlops")
COUNTERS_LEFT_OUT = {"name", "run_type", "iterations", "samples", "real_time", "min_time", "max_time", "time_unit", "label",
                     "ratio", "bytes", "blocks", "inflight"}


def cell(text):
    return str(text).replace("|", "\\|").replace("\n", " ")


def table(head, rows):
    out = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    out += ["| " + " | ".join(cell(value) for value in row) + " |" for row in rows]
    return out


def number(value):
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        return value
    return f"{value:.0f}" if value == int(value) and abs(value) < 1e15 else f"{value:.4g}"


def memory_tables(results):
    """One line per variant, one column per block count: GB/s."""
    rows = [row for row in results.rows("gpu_hbm") if "blocks" in row and "inflight" in row]
    counts = sorted({int(row["blocks"]) for row in rows})
    variants = {}
    for row in rows:
        kind = row["name"].split("/blocks:")[0][len("hbm/"):]
        variants.setdefault((kind, int(row["inflight"])), {})[int(row["blocks"])] = row.get("GBps")
    if not variants:
        return []
    body = [[kind, inflight] + [number(round(by[count])) if by.get(count) is not None else "" for count in counts]
            for (kind, inflight), by in sorted(variants.items())]
    return ["", "GB/s through memory (reads and writes) by number of blocks:", ""] + table(
        ["method/operation/type", "bytes in flight"] + [str(count) for count in counts], body)


def other_table(results, program):
    rows = [row for row in results.rows(program) if not (program == "gpu_hbm" and "inflight" in row)]
    body = []
    for row in rows:
        counters = ", ".join(f"{key} {number(value)}" for key, value in row.items() if key not in COUNTERS_LEFT_OUT)
        spread = f"{number(row.get('min_time', ''))} – {number(row.get('max_time', ''))}" if "real_time" in row else ""
        body.append([row["name"], number(row.get("real_time", "")), spread, number(row.get("ratio", "")), counters,
                     row.get("label", "")])
    return [""] + table(["row", "median µs", "min – max", "ratio", "counters", "note"], body) if body else []


def render(results, machine_lines=(), command_lines=(), stage_lines=()):
    """The page as one string."""
    context = results.context()
    out = [f"# GPU ground truth: {context.get('gpu', 'unknown GPU')}, {str(context.get('date', ''))[:10]}", "",
           "Measured by `scripts/gpu_check`; `docs/gpu-ground-truth.md` says what each row is and how to read it.", "",
           "## Machine", ""]
    out += table(["what", "value"], [[key, number(context[key])] for key in MACHINE_KEYS if key in context])
    out += [""] + [f"- {line}" for line in machine_lines]
    if any(document.get("context", {}).get("quick") for document in results.documents.values()):
        out += ["", "This was a quick run: fewer points, same method."]
    out += ["", "## Commands", "", "```"] + list(command_lines) + ["```"]
    if stage_lines:
        out += ["", "## Parts", ""] + [f"- {line}" for line in stage_lines]
    troubles = results.troubles()
    out += ["", "## Not measured", ""]
    out += table(["program", "row", "", "why"], troubles) if troubles else ["Everything was measured."]
    for program in sorted(results.documents):
        out += ["", f"## {program}"]
        if program == "gpu_hbm":
            out += memory_tables(results)
        out += other_table(results, program)
    out += ["", "## Summary", ""]
    lines = all_lines(results)
    out += table(["what", "number", "limit", "ratio", "what it means for the engine"],
                 [[line.what, line.number, line.limit, "" if line.ratio is None else f"{line.ratio:.2f}", line.meaning]
                  for line in lines]) if lines else ["Nothing was measured."]
    return "\n".join(out) + "\n"


def lines_of(path):
    return [line.rstrip("\n") for line in open(path, encoding="utf-8")] if path else []


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json-dir", required=True, help="folder with the programs' JSON files")
    parser.add_argument("--out-dir", required=True, help="where gpu-<chip>-<date>.md is written")
    parser.add_argument("--machine", help="text file: one more fact about the machine per line")
    parser.add_argument("--commands", help="text file: the commands that were run")
    parser.add_argument("--stages", help="text file: how each part ended")
    arguments = parser.parse_args()
    results = Results.load(arguments.json_dir)
    if not results.documents:
        print("no JSON to summarise in " + arguments.json_dir, file=sys.stderr)
        return 1
    context = results.context()
    name = f"gpu-{context.get('chip', 'unknown')}-{str(context.get('date', 'undated'))[:10]}.md"
    path = pathlib.Path(arguments.out_dir) / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(render(results, lines_of(arguments.machine), lines_of(arguments.commands), lines_of(arguments.stages)),
                    encoding="utf-8")
    print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
