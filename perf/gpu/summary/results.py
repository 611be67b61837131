"""What the GPU programs left as JSON, and small questions to it. Standard library only."""

import json
import pathlib
import re


class Results:
    """All programs of one run. rows(program) gives its measured rows; a program that left nothing has none."""

    def __init__(self, documents):
        """documents: {file stem: parsed JSON}. A file stem may carry a suffix: gpu_sharing_mps."""
        self.documents = documents

    @staticmethod
    def load(folder):
        documents, broken = {}, []
        for path in sorted(pathlib.Path(folder).glob("*.json")):
            try:
                document = json.loads(path.read_text())
                if not isinstance(document.get("benchmarks"), list):
                    raise ValueError("no benchmarks")
                documents[path.stem] = document
            except (ValueError, AttributeError) as error:
                broken.append((path.name, str(error)))
        results = Results(documents)
        results.broken = broken
        return results

    broken = ()

    def context(self):
        """The machine, from whichever program told it."""
        for document in self.documents.values():
            if "gpu" in document.get("context", {}):
                return document["context"]
        return {}

    def of(self, program):
        return self.documents.get(program, {"context": {}, "benchmarks": []})

    def rows(self, program, pattern=""):
        """Measured rows whose name matches from its start."""
        return [row for row in self.of(program)["benchmarks"]
                if re.match(pattern, row["name"]) and not row.get("error_occurred") and not row.get("skipped")]

    def row(self, program, name):
        found = [row for row in self.rows(program) if row["name"] == name]
        return found[0] if found else None

    def troubles(self):
        """(program, row, 'failed' or 'skipped', why) of every row without a number, and of programs cut short."""
        out = []
        for program, document in sorted(self.documents.items()):
            for row in document["benchmarks"]:
                if row.get("error_occurred"):
                    out.append((program, row["name"], "failed", row.get("error_message", "")))
                elif row.get("skipped"):
                    out.append((program, row["name"], "skipped", row.get("skip_message", "")))
            if not document.get("context", {}).get("complete", False):
                out.append((program, "(all later rows)", "failed", "the program was stopped before its end"))
        for name, why in self.broken:
            out.append((name, "(whole file)", "failed", "unreadable: " + why))
        return out


def best(rows, key="GBps"):
    """The row with the largest value, or None."""
    rows = [row for row in rows if isinstance(row.get(key), (int, float))]
    return max(rows, key=lambda row: row[key]) if rows else None


def fewest_blocks(rows, goal_gbps):
    """The row with the fewest blocks that reaches the goal (the fastest of those), or None."""
    reaching = [row for row in rows if row.get("GBps", 0) >= goal_gbps and "blocks" in row]
    return min(reaching, key=lambda row: (row["blocks"], -row["GBps"])) if reaching else None


def field(row, key):
    """The number behind 'key:' in the row's name."""
    found = re.search(key + r":(\d+)", row["name"])
    return int(found.group(1)) if found else None


def smallest_reaching(rows, share, key):
    """The smallest size (number behind 'key:') from which on every larger row keeps `share` of the best GBps, or None."""
    sized = sorted((row for row in rows if field(row, key) is not None and "GBps" in row), key=lambda row: field(row, key))
    if not sized:
        return None
    goal = share * max(row["GBps"] for row in sized)
    size = None
    for row in reversed(sized):
        if row["GBps"] < goal:
            break
        size = field(row, key)
    return size


def size_text(count):
    for unit, factor in (("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)):
        if count >= factor:
            return f"{count / factor:.3g} {unit}"
    return f"{count:.0f} B"


def gbps(value):
    return f"{value:.0f} GB/s" if value >= 100 else f"{value:.3g} GB/s"


def microseconds(us):
    if us < 1:
        return f"{us * 1e3:.0f} ns"
    return f"{us:.3g} µs" if us < 1e3 else f"{us / 1e3:.3g} ms"
