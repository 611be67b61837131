"""What the comparison must show: the largest ratio Tutti / peer that counts as met."""

# collective class, ranks class, placement -> goal for small, middle and large buffers
TABLE = {
    ("all_reduce", "two", "near"): (1.0, 1.0, 1.0),
    ("all_reduce", "two", "far"): (1.0, 0.9, 0.3),
    ("all_reduce", "more", "near"): (0.9, 0.7, 0.7),
    ("all_reduce", "more", "far"): (0.9, 0.7, 0.7),
    ("other", "two", "near"): (1.0, 1.0, 0.9),
    ("other", "two", "far"): (1.0, 1.0, 0.5),
    ("other", "more", "near"): (1.0, 1.0, 0.9),
    ("other", "more", "far"): (1.0, 1.0, 0.5),
}


def size_class(size):
    """0: up to 4 KiB, 1: to 256 KiB, 2: from 2 MiB; what lies between belongs to the nearer one."""
    return 0 if size <= 8 << 10 else 1 if size <= 512 << 10 else 2


def against_best(coll, ranks, placement, size):
    kind = "all_reduce" if coll == "all_reduce" else "other"
    return TABLE[(kind, "two" if ranks <= 2 else "more", placement)][size_class(size)]


def against_gloo(coll, ranks, size):
    """50 times faster at 8 B, 4 times at 128 MiB; nothing is asked of what lies between."""
    if coll != "all_reduce" or ranks != 2:
        return None
    return 1 / 50 if size <= 8 else 1 / 4 if size >= 128 << 20 else None


def own_memory(ranks, size):
    """Buffers of ncclMemAlloc against the best peer, from 4 KiB up."""
    return None if size < 4 << 10 else 0.5 if ranks <= 2 else 0.35


OWN_MEMORY_TO_FLOOR = 1.2


def judge(row):
    """[(what, goal, ratio, met)] for one row of stats.summarize."""
    verdicts = []

    def add(what, goal, ratio):
        if goal is not None:
            verdicts.append({"what": what, "goal": goal, "ratio": ratio, "met": ratio <= goal})

    if "best" in row:
        goal = against_best(row["coll"], row["ranks"], row["placement"], row["bytes"])
        add("best peer", goal, row["best"]["ratio"]["median"])
    for entry in row["configs"]:
        if entry["peer"] == "gloo":
            add("gloo", against_gloo(row["coll"], row["ranks"], row["bytes"]), entry["ratio"]["median"])
    memory = row.get("own_memory")
    if memory and row["coll"] == "all_reduce":
        goal = own_memory(row["ranks"], row["bytes"])
        add("ncclMemAlloc, best peer", goal, memory["ratio_to_best"])
        if goal is not None and "ratio_to_floor" in memory:
            add("ncclMemAlloc, floor", OWN_MEMORY_TO_FLOOR, memory["ratio_to_floor"])
    return verdicts
