#!/usr/bin/env python3
"""Tests of the summary writer on canned JSON: no GPU needed."""

import json
import pathlib
import subprocess
import sys
import tempfile
import unittest

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

import gpu_summary  # noqa: E402
import lines  # noqa: E402
import results as res  # noqa: E402


def document(*rows, complete=True, **context):
    return {"context": {"gpu": "NVIDIA Test", "chip": "test", "date": "2026-01-02T03:04:05Z", "limit_hbm_GBps": 1000,
                        "complete": complete, **context},
            "benchmarks": list(rows)}


def move(method, op, blocks, gbps, inflight=128, kind="fp32"):
    return {"name": f"hbm/{method}/{op}/{kind}/blocks:{blocks}/inflight:{inflight}", "real_time": 10.0, "min_time": 9.0,
            "max_time": 11.0, "time_unit": "us", "iterations": 2, "samples": 7, "blocks": blocks, "inflight": inflight,
            "GBps": gbps, "limit_GBps": 1000, "ratio": gbps / 1000}


def timed(name, us, **more):
    return {"name": name, "real_time": us, "min_time": us, "max_time": us, "time_unit": "us", "iterations": 1, "samples": 1, **more}


def sample():
    return res.Results({
        "gpu_hbm": document(
            move("vec", "copy", 1, 30), move("vec", "copy", 16, 500), move("vec", "copy", 32, 870), move("vec", "copy", 132, 900),
            move("bulk", "copy", 1, 60, 131072), move("bulk", "copy", 16, 850, 131072), move("bulk", "copy", 16, 820, 65536),
            move("vec", "sum2", 132, 400, kind="fp8e4m3"),
            timed("hbm/ce/copy/bytes:4096", 2, GBps=4), timed("hbm/ce/copy/bytes:65536", 2, GBps=450, ratio=0.45),
            timed("hbm/ce/copy/bytes:1048576", 3, GBps=800, ratio=0.8)),
        "gpu_latency": document(
            timed("latency/load/l2", 0.25), timed("latency/sm_to_sm/ll_8_byte_word/one_way", 0.5, torn=0),
            timed("latency/sm_to_sm/ll128_four_lines/one_way", 0.6, torn=3),
            timed("latency/sm_to_sm/data_512_byte_then_flag_gpu/one_way", 1.5, torn=0)),
        "gpu_sharing": document(
            timed("sharing/two_processes/flag_round_trip/host_memory", 4000, co_resident=0, rounds=12),
            {"name": "sharing/cumem_fd/copy_from_peer", "error_occurred": True, "error_message": "EPERM | in a container"},
            {"name": "sharing/green_contexts/copy", "skipped": True, "skip_message": "old driver"}),
        "gpu_sharing_mps": document(timed("sharing/two_processes/flag_round_trip/host_memory", 3, co_resident=1, rounds=100)),
        "gpu_peer_nccl": document(timed("peer/all_reduce/ranks:2/out_of_place/bytes:8", 90, limit_us=0.0, ratio=0.0),
                                  timed("peer/all_reduce/ranks:2/out_of_place/bytes:1048576", 900, limit_us=4, ratio=0.004),
                                  complete=False, nccl_version="2.28.9"),
    })


class Questions(unittest.TestCase):
    def test_fewest_blocks_takes_the_fastest_of_the_smallest_count(self):
        row = res.fewest_blocks(sample().rows("gpu_hbm", "hbm/bulk/"), 810)
        self.assertEqual((row["blocks"], row["inflight"]), (16, 131072))

    def test_fewest_blocks_not_reached(self):
        self.assertIsNone(res.fewest_blocks(sample().rows("gpu_hbm"), 950))

    def test_smallest_reaching_needs_all_larger_sizes_too(self):
        rows = [timed("x/bytes:1", 1, GBps=9), timed("x/bytes:2", 1, GBps=2), timed("x/bytes:4", 1, GBps=8),
                timed("x/bytes:8", 1, GBps=10)]
        self.assertEqual(res.smallest_reaching(rows, 0.5, "bytes"), 4)
        self.assertIsNone(res.smallest_reaching([], 0.5, "bytes"))

    def test_rows_leave_out_failed_and_skipped(self):
        names = [row["name"] for row in sample().rows("gpu_sharing")]
        self.assertEqual(names, ["sharing/two_processes/flag_round_trip/host_memory"])

    def test_troubles_name_every_row_without_a_number_and_cut_programs(self):
        found = {(program, kind) for program, _, kind, _ in sample().troubles()}
        self.assertEqual(found, {("gpu_sharing", "failed"), ("gpu_sharing", "skipped"), ("gpu_peer_nccl", "failed")})

    def test_units(self):
        self.assertEqual(res.size_text(1 << 20), "1 MiB")
        self.assertEqual(res.size_text(8), "8 B")
        self.assertEqual(res.microseconds(0.25), "250 ns")
        self.assertEqual(res.microseconds(2500), "2.5 ms")


class Table(unittest.TestCase):
    def setUp(self):
        self.lines = {line.what: line for line in lines.all_lines(sample())}

    def test_ceiling_is_the_best_copy(self):
        line = self.lines["HBM copy, best of all methods"]
        self.assertEqual((line.number, line.limit, line.ratio), ("900 GB/s", "1000 GB/s", 0.9))

    def test_blocks_for_ninety_percent(self):
        self.assertEqual(self.lines["fewest blocks for 90 % of it, plain 16-byte loads"].number, "32 blocks")
        self.assertEqual(self.lines["fewest blocks for 90 % of it, cp.async.bulk"].number, "16 blocks")

    def test_sums_that_never_reach_it_say_so(self):
        self.assertIn("never 90 %", self.lines["a+b→c fp8e4m3"].meaning)

    def test_copy_engine_size(self):
        self.assertIn("64 KiB", self.lines["cudaMemcpyAsync within the device"].meaning)

    def test_torn_lines_are_called_unsafe(self):
        self.assertIn("UNSAFE", self.lines["SM to SM, ll128_four_lines"].meaning)
        self.assertNotIn("UNSAFE", self.lines["SM to SM, ll_8_byte_word"].meaning)

    def test_ll_crossover(self):
        # Saves 1 us a hop; one block copies 30 GB/s through memory, 15 of payload: 15 KB of extra bytes cost that.
        self.assertEqual(self.lines["LL pays up to"].number, "14.6 KiB per block")

    def test_processes_with_and_without_mps(self):
        self.assertIn("must not spin", self.lines["flags of two processes' kernels, host_memory"].meaning)
        self.assertIn("may spin", self.lines["flags of two processes' kernels under MPS, host_memory"].meaning)

    def test_nothing_measured_gives_no_lines(self):
        self.assertEqual(lines.all_lines(res.Results({})), [])


class Page(unittest.TestCase):
    def test_page_has_all_sections_and_ends_with_the_summary(self):
        text = gpu_summary.render(sample(), ["driver 1.2"], ["gpu_hbm --json=x"], ["gpu_hbm: measured"])
        for part in ("# GPU ground truth: NVIDIA Test, 2026-01-02", "driver 1.2", "gpu_hbm --json=x", "## Not measured",
                     "EPERM \\| in a container", "stopped before its end"):
            self.assertIn(part, text)
        self.assertGreater(text.index("## Summary"), text.index("## gpu_peer_nccl"))
        blocks = [line for line in text.splitlines() if line.startswith("| vec/copy/fp32 |")]
        self.assertEqual(blocks, ["| vec/copy/fp32 | 128 | 30 | 500 | 870 | 900 |"])

    def test_command_line_writes_the_file_and_survives_a_broken_one(self):
        with tempfile.TemporaryDirectory() as folder:
            base = pathlib.Path(folder)
            (base / "gpu_hbm.json").write_text(json.dumps(sample().documents["gpu_hbm"]))
            (base / "gpu_latency.json").write_text("{ cut")
            run = subprocess.run([sys.executable, str(HERE / "gpu_summary.py"), "--json-dir", folder, "--out-dir", folder + "/out"],
                                 capture_output=True, text=True, check=False)
            self.assertEqual(run.returncode, 0, run.stderr)
            text = (base / "out" / "gpu-test-2026-01-02.md").read_text(encoding="utf-8")
            self.assertIn("gpu_latency.json", text)
            self.assertIn("unreadable", text)

    def test_empty_folder_is_an_error(self):
        with tempfile.TemporaryDirectory() as folder:
            run = subprocess.run([sys.executable, str(HERE / "gpu_summary.py"), "--json-dir", folder, "--out-dir", folder],
                                 capture_output=True, text=True, check=False)
            self.assertEqual(run.returncode, 1)


if __name__ == "__main__":
    unittest.main()
