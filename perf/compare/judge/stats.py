"""From measured pairs to one line per cell. Pure: no files, no processes."""
from collections import defaultdict

NEAR_BELOW_NS = 120.0


def placement(one_way_ns):
    """'near': the cores share a last-level cache."""
    return "near" if one_way_ns < NEAR_BELOW_NS else "far"


def quantile(values, fraction):
    """Linear between the two nearest; values need not be sorted."""
    ordered = sorted(values)
    if not ordered:
        raise ValueError("no values")
    at = fraction * (len(ordered) - 1)
    low = int(at)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (at - low)


def spread(values):
    return {
        "median": quantile(values, 0.5),
        "q1": quantile(values, 0.25),
        "q3": quantile(values, 0.75),
        "n": len(values),
    }


def cell_key(line):
    """What makes two measured lines comparable."""
    return (line["coll"], line["bytes"], line["in_place"], line["cold"])


def pair_verdict(probes_ns, foreign_cores, max_foreign):
    """Why a pair does not count, or None. probes_ns: before, between and after."""
    if None in probes_ns:
        return "no probe"
    if len({placement(ns) for ns in probes_ns}) != 1:
        return "placement moved"
    if max_foreign is not None and foreign_cores > max_foreign:
        return "others' load"
    return None


def collect(pairs):
    """pairs: [{ranks, placement, subject, peer, config, tutti: [lines], other: [lines]}]
    -> {(ranks, placement, cell key): {(peer, config): {"ratios": [...], "tutti_us": [...], "us": [...]}}}"""
    cells = defaultdict(lambda: defaultdict(lambda: {"ratios": [], "tutti_us": [], "us": []}))
    for pair in pairs:
        mine = {cell_key(line): line for line in pair["tutti"] if "us" in line}
        for line in pair["other"]:
            own = mine.get(cell_key(line))
            if own is None or "us" not in line:
                continue
            into = cells[(pair["ranks"], pair["placement"], cell_key(line))][(pair["peer"], pair["config"])]
            into["ratios"].append(own["us"] / line["us"])
            into["tutti_us"].append(own["us"])
            into["us"].append(line["us"])
    return cells


def summarize(pairs, floors=(), own=()):
    """One entry per cell, sorted. `floors` and `own` are names that are measured but are not peers: what the machine
    allows, and Tutti with other memory. A peer is as good as its best configuration, the best peer is the strongest:
    the one whose ratio Tutti / peer is largest."""
    rows = []
    for (ranks, where, key), measured in sorted(collect(pairs).items()):
        coll, size, in_place, cold = key
        row = {"ranks": ranks, "placement": where, "coll": coll, "bytes": size, "in_place": in_place, "cold": cold}
        configs = []
        for (peer, config), samples in sorted(measured.items()):
            configs.append({
                "peer": peer,
                "config": config,
                "ratio": spread(samples["ratios"]),
                "us": quantile(samples["us"], 0.5),
                "tutti_us": quantile(samples["tutti_us"], 0.5),
                "ratios": samples["ratios"],
            })
        row["configs"] = configs
        row["tutti_us"] = quantile([us for s in measured.values() for us in s["tutti_us"]], 0.5)
        best_of = {}
        for entry in configs:
            name = entry["peer"]
            if name not in best_of or entry["ratio"]["median"] > best_of[name]["ratio"]["median"]:
                best_of[name] = entry
        row["best_of"] = {name: entry["config"] for name, entry in best_of.items()}
        peers = [entry for name, entry in best_of.items() if name not in floors and name not in own]
        if peers:
            best = max(peers, key=lambda entry: entry["ratio"]["median"])
            row["best"] = {k: best[k] for k in ("peer", "config", "ratio", "us")}
        found = [entry for name, entry in best_of.items() if name in floors]
        if found:
            row["floor"] = {k: max(found, key=lambda e: e["ratio"]["median"])[k] for k in ("config", "ratio", "us")}
        # Own memory was measured against Tutti with plain memory, the peers against that as well: the ratio of the
        # two medians is own memory against the best peer.
        mine = [entry for name, entry in best_of.items() if name in own]
        if mine and peers:
            gain = mine[0]["ratio"]["median"]
            row["own_memory"] = {"us": mine[0]["us"], "ratio_to_best": row["best"]["ratio"]["median"] / gain}
            shared = [e for e in configs if e["peer"] in floors and "shared" in e["config"]]
            if shared:
                row["own_memory"]["ratio_to_floor"] = max(e["ratio"]["median"] for e in shared) / gain
        rows.append(row)
    return rows
