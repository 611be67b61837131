"""scripts/compare: Tutti beside its peers, in interleaved pairs."""
import argparse
import collections
import datetime
import json
import os
import platform
import shlex
import subprocess
import sys
import time

from . import chart, peers, report, runner, stats

COLLS = ["all_reduce", "reduce_scatter", "all_gather", "alltoall", "broadcast", "reduce", "gather", "scatter"]
WANTED_PER_PLACEMENT = 5


def size_of(text):
    units = {"K": 10, "M": 20, "G": 30}
    return int(text[:-1]) << units[text[-1]] if text[-1:] in units else int(text)


def parse(argv):
    parser = argparse.ArgumentParser(prog="scripts/compare", description=__doc__)
    parser.add_argument("--ranks", default="2,4,8")
    parser.add_argument("--colls", default="all_reduce", help="list, or all")
    parser.add_argument("--sizes", default="8,64,512,4K,32K,256K,2M,16M,128M", help="bytes of a rank's larger buffer")
    parser.add_argument("--rounds", type=int, default=WANTED_PER_PLACEMENT, help="good pairs wanted of each placement seen")
    parser.add_argument("--max-rounds", type=int, help="rounds in all (default: three times --rounds)")
    parser.add_argument("--max-minutes", type=float, default=0, help="begin no round after so long")
    parser.add_argument("--peers", default=",".join(peers.ALL), help="of: " + ", ".join(peers.ALL))
    parser.add_argument("--configs", help="only configurations whose name is in this list")
    parser.add_argument("--places", default="out,in")
    parser.add_argument("--caches", default="warm,cold")
    parser.add_argument("--budget-ms", type=float, default=30, help="time for one cell of one run, about")
    parser.add_argument("--timeout", type=float, default=120, help="seconds after which a run is ended; what it measured counts, and the second time it is not run again")
    parser.add_argument("--max-load", type=float, default=0.2, help="cores that others may use during a pair that counts")
    parser.add_argument("--out", default="build/compare", help="folder for the results")
    parser.add_argument("--name", help="of the result files (default: compare-DATE)")
    parser.add_argument("--bin", default="build/release/bin", help="where Tutti's programs are")
    args = parser.parse_args(argv)
    args.colls = COLLS if args.colls == "all" else args.colls.split(",")
    args.ranks = [int(n) for n in args.ranks.split(",")]
    args.peers = args.peers.split(",")
    for unknown in set(args.colls) - set(COLLS) | set(args.peers) - set(peers.ALL):
        parser.error(f"unknown collective or peer: {unknown}")
    try:
        [size_of(size) for size in args.sizes.split(",")]
    except ValueError:
        parser.error(f"--sizes {args.sizes}: numbers, K, M or G may follow")
    args.max_rounds = args.max_rounds or 3 * args.rounds
    return args


def text_of(command):
    try:
        return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return "unknown"


def last_level_cache():
    biggest = 0
    folder = "/sys/devices/system/cpu/cpu0/cache"
    for entry in os.listdir(folder) if os.path.isdir(folder) else []:
        try:
            with open(os.path.join(folder, entry, "size"), encoding="ascii") as size:
                biggest = max(biggest, size_of(size.read().strip()))
        except (OSError, ValueError):
            pass
    return biggest or 32 << 20


class Judge:
    def __init__(self, root, args, argv):
        self.args, self.argv = args, argv
        self.bin = os.path.join(root, args.bin)
        self.shop = peers.Workshop(root, self.bin, self.say)
        self.meet = os.path.join(self.shop.folder, f"meet-{os.getpid()}")
        self.missing, self.pairs, self.raw = [], [], []
        self.dropped, self.problems = collections.Counter(), collections.Counter()
        self.good = collections.defaultdict(collections.Counter)  # (ranks, coll, peer, config) -> placement -> pairs
        self.too_slow = collections.Counter()  # the same keys: runs that were ended by --timeout
        self.began = time.monotonic()
        self.cold_bytes = last_level_cache() * 2

    @staticmethod
    def say(text):
        print("== " + text, file=sys.stderr, flush=True)

    def arguments(self, coll):
        args = self.args
        return ["--colls", coll, "--sizes", args.sizes, "--places", args.places, "--caches", args.caches, "--budget-ms",
                f"{args.budget_ms:g}", "--cold-bytes", str(self.cold_bytes)]

    def run(self, name, config, ranks, coll):
        command, environment = self.shop.command(name, config, ranks, self.arguments(coll), self.meet)
        lines, problem = runner.run_driver(command, environment, self.args.timeout, self.meet)
        for line in lines:
            if "error" in line:
                problem = problem or f"{line['coll']} of {line['bytes']} bytes: {line['error']}"
        if problem:
            if problem.startswith("stopped"):
                self.too_slow[(ranks, coll, name, config)] += 1
            self.problems[f"{name} ({config}), {ranks} ranks, {coll}: {problem}"] += 1
        return lines, problem

    def prepare(self):
        """Installs, builds and starts everything once; what fails is missing, with the reason."""
        ready = []
        wanted = self.args.configs.split(",") if self.args.configs else None
        for name in self.args.peers:
            try:
                self.shop.prepare(name)
            except (peers.Missing, OSError) as reason:
                self.missing.append({"peer": name, "reason": str(reason)})
                self.say(f"missing: {name}: {reason}")
                continue
            for config, _, _ in peers.CONFIGS[name]:
                if wanted and config not in wanted:
                    continue
                command, environment = self.shop.command(
                    name, config, 2, ["--colls", "all_reduce", "--sizes", "8", "--places", "out,in", "--caches", "warm",
                                      "--budget-ms", "1"], self.meet)
                lines, problem = runner.run_driver(command, environment, self.args.timeout, self.meet)
                if not lines or problem:
                    self.missing.append({"peer": name, "config": config, "reason": f"cannot run: {problem or 'no result'}"})
                    self.say(f"missing: {name} ({config}): {problem or 'no result'}")
                else:
                    ready.append((name, config))
        return ready

    def pair(self, name, config, ranks, coll, tutti_first):
        meter = runner.LoadMeter()
        program = os.path.join(self.bin, "placement_probe")
        probes, results = [runner.probe(program)], {}
        for who in ("tutti", name) if tutti_first else (name, "tutti"):
            results[who] = self.run(who, "plain" if who == "tutti" else config, ranks, coll)[0]
            probes.append(runner.probe(program))
        foreign = meter.foreign_cores()
        verdict = stats.pair_verdict(probes, foreign, self.args.max_load)
        if verdict is None and (not results["tutti"] or not results[name]):
            verdict = "a run without results"
        pair = {"ranks": ranks, "coll": coll, "peer": name, "config": config, "probes_ns": probes,
                "foreign_cores": round(foreign, 3), "dropped": verdict, "tutti": results["tutti"], "other": results[name]}
        self.raw.append(pair)
        if verdict:
            self.dropped[verdict] += 1
            return verdict
        pair["placement"] = stats.placement(probes[0])
        self.pairs.append(pair)
        self.good[(ranks, coll, name, config)][pair["placement"]] += 1
        return pair["placement"]

    def enough(self, key):
        """Enough good pairs of each placement that came up; or so slow that more of it would only take time."""
        if self.too_slow[key] >= 2:
            return True
        counts = self.good[key]
        return bool(counts) and all(counts[p] >= self.args.rounds for p in counts) and (
            len(counts) == 2 or sum(counts.values()) >= self.args.rounds)

    def measure(self, ready):
        args = self.args
        for number in range(1, args.max_rounds + 1):
            todo = [(ranks, coll, name, config) for ranks in args.ranks for coll in args.colls for name, config in ready
                    if coll not in peers.LACKS.get(name, ()) and not self.enough((ranks, coll, name, config))]
            if not todo:
                return
            for at, (ranks, coll, name, config) in enumerate(todo, 1):
                minutes = (time.monotonic() - self.began) / 60
                if args.max_minutes and minutes > args.max_minutes:
                    self.say(f"stopped after {minutes:.0f} minutes, in round {number}")
                    return
                what = self.pair(name, config, ranks, coll, tutti_first=number % 2 == 1)
                self.say(f"round {number}/{args.max_rounds} pair {at}/{len(todo)}, {minutes:.1f} min: {coll}, {ranks} ranks, "
                         f"{name} ({config}): {what}")

    def result(self, load_before, load_after):
        placements = []
        for ranks in self.args.ranks:
            for where in ("near", "far"):
                counts = [c[where] for key, c in self.good.items() if key[0] == ranks]
                least, most = (min(counts), max(counts)) if counts else (0, 0)
                state = f"{least} to {most} good pairs a configuration" if most else "this placement did not come up"
                placements.append((ranks, where, state))
        cpu = next((line.split(":", 1)[1].strip() for line in open("/proc/cpuinfo", encoding="utf-8")
                    if line.startswith("model name")), platform.machine())
        meta = {
            "date": datetime.date.today().isoformat(), "cpu": cpu, "cores": len(os.sched_getaffinity(0)),
            "system": f"{platform.system()} {platform.release()}", "command": "scripts/compare " + shlex.join(self.argv),
            "load": [load_before, load_after], "commit": text_of(["git", "describe", "--always", "--dirty"]),
            "versions": self.shop.versions, "minutes": round((time.monotonic() - self.began) / 60, 1),
            "cold_bytes": self.cold_bytes,
        }
        if self.args.max_load > 0.5:
            meta["caution"] = "Others used the machine meanwhile (--max-load): these figures show that the comparison runs, no more."
        return {
            "meta": meta, "missing": self.missing, "kept": len(self.pairs), "dropped": dict(self.dropped),
            "placements": placements, "problems": dict(self.problems),
            "cells": stats.summarize(self.pairs, peers.FLOORS, peers.OWN),
        }

    def write(self, result):
        folder = os.path.abspath(self.args.out)
        os.makedirs(folder, exist_ok=True)
        name = self.args.name or f"compare-{result['meta']['date']}"
        base = os.path.join(folder, name)
        drawing = chart.svg(result["cells"], "all_reduce" if "all_reduce" in self.args.colls else self.args.colls[0])
        with open(base + ".json", "w", encoding="utf-8") as file:
            json.dump(dict(result, pairs=self.raw), file, separators=(",", ":"))
        with open(base + ".md", "w", encoding="utf-8") as file:
            file.write(report.markdown(result, name + ".svg" if drawing else None))
        if drawing:
            with open(base + ".svg", "w", encoding="utf-8") as file:
                file.write(drawing)
        return base


def main(argv=None):
    argv = sys.argv[1:] if argv is None else argv
    args = parse(argv)
    root = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", "..", ".."))
    load_before = os.getloadavg()[0]
    judge = Judge(root, args, argv)
    for program in ("tutti", "compare_tutti", "shm_floor", "placement_probe"):
        if not os.path.exists(os.path.join(judge.bin, program)):
            sys.exit(f"{args.bin}/{program} is not built; scripts/compare builds it")
    if load_before > 0.5:
        judge.say(f"the machine is busy (load {load_before:.1f}): pairs beside which others used more than {args.max_load:g} "
                  "cores are dropped")
    ready = judge.prepare()
    if not ready:
        judge.say("no peer can run: nothing to compare")
    try:
        judge.measure(ready)
    except KeyboardInterrupt:
        judge.say("interrupted: what was measured is written")
    result = judge.result(round(load_before, 2), round(os.getloadavg()[0], 2))
    base = judge.write(result)
    print(report.console(result))
    for gap in judge.missing:
        print(f"missing: {gap['peer']} {gap.get('config', '')}: {gap['reason']}")
    print(f"written: {os.path.relpath(base)}.md, .json, .svg")
    return 0 if judge.pairs else 1


if __name__ == "__main__":
    sys.exit(main())
