"""Starts one driver and brings back its lines; leaves no process behind."""
import json
import os
import resource
import signal
import subprocess
import tempfile
import time
import uuid


def children_seconds():
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    own = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime + own.ru_utime + own.ru_stime


def busy_seconds():
    """CPU time that all processes of the machine have used, with what the host took from it."""
    with open("/proc/stat", encoding="ascii") as stat:
        fields = [int(f) for f in stat.readline().split()[1:9]]
    user, nice, system, _idle, _wait, irq, soft, steal = fields
    return (user + nice + system + irq + soft + steal) / os.sysconf("SC_CLK_TCK")


class LoadMeter:
    """How many cores others used between start and stop."""

    def __init__(self):
        self.began, self.busy, self.own = time.monotonic(), busy_seconds(), children_seconds()

    def foreign_cores(self):
        passed = max(1e-3, time.monotonic() - self.began)
        return max(0.0, (busy_seconds() - self.busy - (children_seconds() - self.own)) / passed)


def marked(mark):
    """Processes that carry this run's mark in their environment."""
    found = []
    for entry in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{entry}/environ", "rb") as environ:
                if mark in environ.read():
                    found.append(int(entry))
        except OSError:
            continue
    return found


def end(process, mark):
    """Asks the launcher to end, then ends what it left."""
    try:
        process.terminate()
        process.wait(5)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    for pid in marked(mark):
        try:
            os.kill(pid, signal.SIGKILL)
        except OSError:
            pass


def parse_lines(text):
    """The drivers' JSON lines; what libraries print beside them is left out."""
    lines = []
    for line in text.splitlines():
        if line.startswith('{"coll"'):
            try:
                lines.append(json.loads(line))
            except ValueError:
                pass
    return lines


def run_driver(command, environment, timeout, meet=None):
    """-> (lines, problem). A run that is ended by the timeout keeps what it had measured."""
    mark = "COMPARE_RUN=" + uuid.uuid4().hex
    name, value = mark.split("=")
    if meet and os.path.exists(meet):
        os.remove(meet)
    with tempfile.TemporaryFile("w+") as output, tempfile.TemporaryFile("w+") as errors:
        try:
            process = subprocess.Popen(command, env=dict(os.environ, **environment, **{name: value}), stdout=output,
                                       stderr=errors, stdin=subprocess.DEVNULL, start_new_session=True)
        except OSError as error:
            return [], f"cannot start: {error}"
        problem = None
        try:
            code = process.wait(timeout)
        except subprocess.TimeoutExpired:
            problem = f"stopped after {timeout:.0f} s"
        finally:
            end(process, mark.encode())
        output.seek(0)
        errors.seek(0)
        lines = parse_lines(output.read())
        if problem is None and code != 0:
            said = [line.strip() for line in errors.read().splitlines() if line.strip(" -=\t")]
            problem = f"exit status {code}: {' / '.join(said[:3])[:300]}"
        return lines, problem


def probe(program):
    """One-way time of a cache line in ns; None where it cannot be measured."""
    try:
        done = subprocess.run([program], stdout=subprocess.PIPE, text=True, timeout=60, check=True)
        return json.loads(done.stdout)["one_way_ns"]
    except (OSError, ValueError, KeyError, subprocess.SubprocessError):
        return None
