import unittest

from judge import goals, stats


def line(us, coll="all_reduce", size=8, in_place=0, cold=0):
    return {"coll": coll, "bytes": size, "in_place": in_place, "cold": cold, "us": us}


def pair(peer, config, tutti, other, ranks=2, placement="near"):
    return {"ranks": ranks, "placement": placement, "peer": peer, "config": config, "tutti": tutti, "other": other}


class Quantiles(unittest.TestCase):
    def test_between_two_values(self):
        self.assertEqual(stats.quantile([4, 1, 3, 2], 0.5), 2.5)
        self.assertEqual(stats.quantile([1, 2, 3], 0.5), 2)
        self.assertEqual(stats.quantile([1, 2, 3, 4, 5], 0.25), 2)
        self.assertEqual(stats.quantile([7], 0.75), 7)

    def test_nothing_has_no_median(self):
        with self.assertRaises(ValueError):
            stats.quantile([], 0.5)

    def test_spread(self):
        self.assertEqual(stats.spread([3, 1, 2]), {"median": 2, "q1": 1.5, "q3": 2.5, "n": 3})


class Verdicts(unittest.TestCase):
    def test_kept(self):
        self.assertIsNone(stats.pair_verdict([55, 60, 110], 0.05, 0.2))
        self.assertIsNone(stats.pair_verdict([230, 250, 121], 0.05, 0.2))
        self.assertIsNone(stats.pair_verdict([55, 60, 58], 9, None))

    def test_dropped(self):
        self.assertEqual(stats.pair_verdict([55, 60, 250], 0, 0.2), "placement moved")
        self.assertEqual(stats.pair_verdict([55, 250, 55], 0, 0.2), "placement moved")
        self.assertEqual(stats.pair_verdict([55, 60, 58], 0.3, 0.2), "others' load")
        self.assertEqual(stats.pair_verdict([None, 60, 58], 0, 0.2), "no probe")


class Summary(unittest.TestCase):
    def test_median_of_ratios_not_ratio_of_medians(self):
        pairs = [pair("openmpi", "default", [line(1)], [line(2)]), pair("openmpi", "default", [line(9)], [line(3)]),
                 pair("openmpi", "default", [line(4)], [line(4)])]
        row, = stats.summarize(pairs)
        self.assertEqual(row["best"]["ratio"], {"median": 1.0, "q1": 0.75, "q3": 2.0, "n": 3})
        self.assertEqual(row["tutti_us"], 4)

    def test_strongest_configuration_stands_for_its_peer(self):
        pairs = [pair("openmpi", "default", [line(1)], [line(4)]), pair("openmpi", "pml ucx", [line(1)], [line(2)]),
                 pair("mpich", "default", [line(1)], [line(3)])]
        row, = stats.summarize(pairs)
        self.assertEqual(row["best_of"], {"mpich": "default", "openmpi": "pml ucx"})
        self.assertEqual((row["best"]["peer"], row["best"]["config"]), ("openmpi", "pml ucx"))
        self.assertEqual(row["best"]["ratio"]["median"], 0.5)

    def test_cells_are_kept_apart(self):
        lines = [line(1), line(1, size=64), line(1, in_place=1), line(1, cold=1), line(1, coll="reduce")]
        pairs = [pair("mpich", "default", lines, lines, ranks=r, placement=p) for r in (2, 4) for p in ("near", "far")]
        self.assertEqual(len(stats.summarize(pairs)), 20)

    def test_what_one_side_lacks_is_no_cell(self):
        failed = dict(line(1), error="wrong result")
        del failed["us"]
        pairs = [pair("gloo", "default", [line(1), line(1, in_place=1)], [line(2, in_place=1), failed])]
        row, = stats.summarize(pairs)
        self.assertEqual(row["in_place"], 1)

    def test_floor_and_own_memory_are_no_peers(self):
        big = dict(size=32768)
        pairs = [pair("floor", "shared", [line(4, **big)], [line(1, **big)]),
                 pair("floor", "private", [line(4, **big)], [line(2, **big)]),
                 pair("tutti-mem", "ncclMemAlloc", [line(4, **big)], [line(2, **big)]),
                 pair("impi", "shm", [line(4, **big)], [line(5, **big)])]
        row, = stats.summarize(pairs, floors=("floor",), own=("tutti-mem",))
        self.assertEqual(row["best"]["peer"], "impi")
        self.assertEqual(row["floor"]["config"], "shared")
        self.assertAlmostEqual(row["own_memory"]["ratio_to_best"], 0.4)
        self.assertAlmostEqual(row["own_memory"]["ratio_to_floor"], 2.0)
        verdicts = {v["what"]: v["met"] for v in goals.judge(row)}
        self.assertEqual(verdicts, {"best peer": True, "ncclMemAlloc, best peer": True, "ncclMemAlloc, floor": False})


class Goals(unittest.TestCase):
    def test_table(self):
        K, M = 1 << 10, 1 << 20
        self.assertEqual(goals.against_best("all_reduce", 2, "near", 128 * M), 1.0)
        self.assertEqual([goals.against_best("all_reduce", 2, "far", s) for s in (4 * K, 32 * K, 2 * M)], [1, 0.9, 0.3])
        self.assertEqual([goals.against_best("all_reduce", 8, "near", s) for s in (8, 256 * K, 16 * M)], [0.9, 0.7, 0.7])
        self.assertEqual([goals.against_best("gather", 4, "far", s) for s in (8, 256 * K, 2 * M)], [1, 1, 0.5])
        self.assertEqual(goals.against_best("alltoall", 2, "near", 2 * M), 0.9)

    def test_gloo(self):
        self.assertEqual(goals.against_gloo("all_reduce", 2, 8), 0.02)
        self.assertEqual(goals.against_gloo("all_reduce", 2, 128 << 20), 0.25)
        self.assertIsNone(goals.against_gloo("all_reduce", 2, 4096))
        self.assertIsNone(goals.against_gloo("reduce", 2, 8))


if __name__ == "__main__":
    unittest.main()
