"""scripts/tune: how good the selector's choices are. Times every algorithm and protocol that a collective has, beside what the
selector takes by itself, and prints the regret: the time of the choice over that of the best, cell by cell."""
import argparse
import collections
import datetime
import json
import os
import platform
import statistics
import subprocess
import sys

COLLS = ["all_reduce", "reduce_scatter", "all_gather", "alltoall", "broadcast", "reduce", "gather", "scatter"]
ALGORITHMS = {
    "all_reduce": ["ring", "tree", "rd", "oneshot", "twoshot", "rhd", "swing"],
    "reduce_scatter": ["ring", "oneshot", "rhd", "pat"],
    "all_gather": ["ring", "oneshot", "bruck", "pat"],
    "alltoall": ["oneshot", "pairwise", "bruck"],
    "broadcast": ["ring", "tree", "oneshot", "binomial"],
    "reduce": ["ring", "tree", "oneshot", "twoshot", "binomial"],
    "gather": ["oneshot", "pairwise", "binomial"],
    "scatter": ["oneshot", "pairwise", "binomial"],
}
PROTOCOLS = ["Simple", "LL"]
CHOICE = "choice"


def parse(argv):
    parser = argparse.ArgumentParser(prog="scripts/tune", description=__doc__)
    parser.add_argument("--ranks", default="2,4,8")
    parser.add_argument("--colls", default="all", help="list, or all")
    parser.add_argument("--sizes", default="8,64,512,4K,32K,256K,2M,16M,128M")
    parser.add_argument("--rounds", type=int, default=3, help="runs of each configuration; the median counts")
    parser.add_argument("--budget-ms", type=float, default=5, help="time for one cell of one run, about")
    parser.add_argument("--memory", choices=["private", "api"], default="private", help="malloc, or ncclMemAlloc")
    parser.add_argument("--out", help="write the figures to this JSON file")
    parser.add_argument("--bin", default="build/release/bin")
    args = parser.parse_args(argv)
    args.colls = COLLS if args.colls == "all" else args.colls.split(",")
    unknown = set(args.colls) - set(COLLS)
    if unknown:
        parser.error(f"unknown collective: {', '.join(sorted(unknown))} (there are {', '.join(COLLS)})")
    args.ranks = [int(n) for n in args.ranks.split(",")]
    return args


def run(args, coll, ranks, algorithm, protocol):
    """{bytes: microseconds}; empty where the configuration does not exist or failed."""
    env = dict(os.environ)
    if algorithm != CHOICE:
        # Of the collective under test alone: the driver's own barriers go on as they are.
        name = coll.replace("_", "")
        env.update(NCCL_ALGO=f"{name}:{algorithm}", NCCL_PROTO=f"{name}:{protocol}")
    if args.memory == "api":
        env["COMPARE_MEMORY"] = "api"
    command = [f"{args.bin}/tutti", "run", "-n", str(ranks), "--", f"{args.bin}/compare_tutti", "--colls", coll,
               "--sizes", args.sizes, "--places", "out", "--caches", "warm", "--budget-ms", str(args.budget_ms)]
    try:
        done = subprocess.run(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, timeout=60)
        text = done.stdout
    except subprocess.TimeoutExpired as late:
        text = late.stdout.decode() if isinstance(late.stdout, bytes) else late.stdout or ""
    times = {}
    for line in text.splitlines():
        if line.startswith("{") and line.endswith("}"):
            cell = json.loads(line)
            if "us" in cell:
                times[cell["bytes"]] = cell["us"]
    return times


def sweep(args, coll, ranks):
    """{bytes: {configuration: microseconds}}"""
    configurations = [(CHOICE, "")] + [(a, p) for a in ALGORITHMS[coll] for p in PROTOCOLS]
    samples = collections.defaultdict(lambda: collections.defaultdict(list))
    for number in range(args.rounds):
        # The other way round each time, so that no configuration always follows the same one.
        for algorithm, protocol in configurations[:: -1 if number % 2 else 1]:
            for size, us in run(args, coll, ranks, algorithm, protocol).items():
                samples[size][f"{algorithm}/{protocol}".rstrip("/")].append(us)
    return {size: {name: statistics.median(us) for name, us in sorted(cells.items())} for size, cells in sorted(samples.items())}


def short(size):
    for unit, shift in (("M", 20), ("K", 10)):
        if size >= 1 << shift:
            return f"{size >> shift}{unit}"
    return str(size)


def main(argv):
    args = parse(argv)
    results, regrets = [], []
    for coll in args.colls:
        for ranks in args.ranks:
            print(f"{coll}, {ranks} ranks", flush=True)
            for size, cells in sweep(args, coll, ranks).items():
                others = {name: us for name, us in cells.items() if name != CHOICE}
                if CHOICE not in cells or not others:
                    continue
                best = min(others, key=others.get)
                # The choice is one of them: it can only be better than the best by noise.
                regret = max(1.0, cells[CHOICE] / others[best])
                regrets.append(regret)
                ranked = ", ".join(f"{name} {us:.3g}" for name, us in sorted(others.items(), key=lambda x: x[1])[:4])
                print(f"  {short(size):>5} {cells[CHOICE]:10.3g} us  regret {regret:5.2f}   {ranked}", flush=True)
                results.append({"coll": coll, "ranks": ranks, "bytes": size, "regret": regret, "us": cells})
    if not regrets:
        sys.exit("scripts/tune: nothing could be measured; is the release build there?")
    regrets.sort()
    within = sum(r <= 1.1 for r in regrets) / len(regrets)
    print(f"{len(regrets)} cells: {100 * within:.0f} % within 1.10 of the best, worst {regrets[-1]:.2f}, median {statistics.median(regrets):.2f}")
    if args.out:
        with open(args.out, "w", encoding="utf-8") as file:
            json.dump({"date": str(datetime.date.today()), "machine": platform.processor() or platform.machine(),
                       "command": " ".join(argv), "cells": results}, file, indent=1)


if __name__ == "__main__":
    main(sys.argv[1:])
