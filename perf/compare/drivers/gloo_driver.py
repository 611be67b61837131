"""Gloo as PyTorch's users have it: torch.distributed on CPU tensors. Same protocol and options as driver.c.

    gloo_driver.py --ranks N [options of driver.c]      starts the other ranks itself

torch.distributed reduces and broadcasts in place only, so those calls have no other form here.
"""
import argparse
import json
import os
import subprocess
import sys
import tempfile
import time

COLLECTIVES = ["all_reduce", "reduce_scatter", "all_gather", "alltoall", "broadcast", "reduce", "gather", "scatter"]
IN_PLACE_ONLY = {"all_reduce", "broadcast", "reduce"}
WHOLE = {"all_reduce", "broadcast", "reduce"}
BATCHES, MAX_ITERATIONS = 3, 1 << 20


def parse_size(text):
    units = {"K": 10, "M": 20, "G": 30}
    return int(text[:-1]) << units[text[-1]] if text[-1] in units else int(text)


def options():
    parser = argparse.ArgumentParser()
    parser.add_argument("--ranks", type=int, default=2)
    parser.add_argument("--colls", default="all_reduce")
    parser.add_argument("--sizes", default="8")
    parser.add_argument("--places", default="out,in")
    parser.add_argument("--caches", default="warm")
    parser.add_argument("--budget-ms", type=float, default=30)
    parser.add_argument("--cold-bytes", default="64M")
    parser.add_argument("--rank", type=int, default=0)
    parser.add_argument("--meet")
    return parser.parse_args()


def rank_main(args):
    import torch
    import torch.distributed as dist

    torch.set_num_threads(1)
    os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
    dist.init_process_group("gloo", init_method="file://" + args.meet, rank=args.rank, world_size=args.ranks)
    rank, size, root = args.rank, args.ranks, args.rank == 0

    def meet(value=0.0):
        tensor = torch.tensor([value], dtype=torch.float64)
        dist.all_reduce(tensor, op=dist.ReduceOp.MAX)
        return tensor.item()

    def caller(coll, send, recv):
        """What one iteration runs; lists of blocks are made beforehand."""
        if coll == "all_reduce":
            return lambda: dist.all_reduce(recv)
        if coll == "broadcast":
            return lambda: dist.broadcast(recv, 0)
        if coll == "reduce":
            return lambda: dist.reduce(recv, 0)
        if coll == "reduce_scatter":
            return lambda: dist.reduce_scatter_tensor(recv, send)
        if coll == "all_gather":
            return lambda: dist.all_gather_into_tensor(recv, send)
        if coll == "alltoall":
            return lambda: dist.all_to_all_single(recv, send)
        if coll == "gather":
            parts = list(recv.chunk(size)) if root else None
            return lambda: dist.gather(send, parts, 0)
        parts = list(send.chunk(size)) if root else None
        return lambda: dist.scatter(recv, parts, 0)

    def pattern(of, begin, count):
        return ((torch.arange(begin, begin + count) % 13 + 1) * (of + 1)).float()

    def expected(coll, count):
        total = size * (size + 1) // 2
        if coll in ("all_reduce", "reduce"):
            return pattern(total - 1, 0, count)
        if coll == "broadcast":
            return pattern(0, 0, count)
        if coll == "reduce_scatter":
            return pattern(total - 1, rank * count, count)
        if coll == "scatter":
            return pattern(0, rank * count, count)
        begin = rank * count if coll == "alltoall" else 0
        return torch.cat([pattern(r, begin, count) for r in range(size)])

    def measure(coll, nominal, cold):
        budget = args.budget_ms * 1e-3
        count = max(1, nominal // 4 // (1 if coll in WHOLE else size))
        whole = count * (1 if coll in WHOLE else size)
        in_place = coll in IN_PLACE_ONLY
        stride = (whole * 4 + 63) // 64 * 16  # floats
        slots = parse_size(args.cold_bytes) // (stride * 4 * (1 if in_place else 2)) + 1 if cold else 1
        if cold and slots == 1:
            return
        slots = min(slots, 20000)  # a Python object for each; small ones are colder than the caches all the same
        if cold:
            stride = max(stride, parse_size(args.cold_bytes) // 4 // slots // 16 * 16)
        recv_all = torch.zeros(stride * slots)
        send_all = recv_all if in_place else torch.zeros(stride * slots)
        sent = count if coll in ("all_gather", "gather") else whole
        got = count if coll in ("reduce_scatter", "scatter") else whole

        def views(slot):
            at = slot * stride
            return send_all[at : at + sent], recv_all[at : at + got]

        send, recv = views(0)
        send.copy_(pattern(rank, 0, sent))
        caller(coll, send, recv)()
        right = (coll in ("reduce", "gather") and not root) or torch.equal(recv, expected(coll, count))
        wrong = meet(0.0 if right else 1.0)
        send.zero_()
        recv.zero_()
        calls = [caller(coll, *views(slot)) for slot in range(slots)]
        at = 0

        def time_calls(iterations):
            nonlocal at
            meet()
            meet()
            start = time.perf_counter()
            for _ in range(iterations):
                calls[at]()
                at = at + 1 if at + 1 < slots else 0
            return meet(time.perf_counter() - start)

        iterations, spent, per_call = 1, 0.0, 1e30
        while spent < budget / 2 and iterations < MAX_ITERATIONS:
            took = time_calls(iterations)
            spent += took
            per_call = min(per_call, took / iterations)
            if took < budget / 8:
                iterations *= 4
        iterations = int(min(MAX_ITERATIONS, max(1, budget / BATCHES / per_call)))
        means, spent = [], 0.0
        while len(means) < BATCHES and spent < 3 * budget:
            took = time_calls(iterations)
            spent += took
            means.append(1e6 * took / iterations)
        if root:
            line = {"coll": coll, "bytes": nominal, "in_place": int(in_place), "cold": int(cold), "iterations": iterations}
            if wrong:
                line["error"] = "wrong result"
            else:
                line["us"], line["batches"] = sorted(means)[len(means) // 2], sorted(means)
            print(json.dumps(line), flush=True)

    for coll in COLLECTIVES:
        if coll not in args.colls.split(","):
            continue
        if ("in" if coll in IN_PLACE_ONLY else "out") not in args.places.split(","):
            continue
        for nominal in map(parse_size, args.sizes.split(",")):
            for cold in (False, True):
                if ("cold" if cold else "warm") in args.caches.split(","):
                    measure(coll, nominal, cold)
    meet()
    dist.destroy_process_group()


def main():
    args = options()
    if args.meet:
        return rank_main(args)
    with tempfile.TemporaryDirectory(prefix="compare-gloo-") as folder:
        command = [sys.executable, "-W", "ignore", *sys.argv, "--meet", os.path.join(folder, "meet"), "--rank"]
        children = [subprocess.Popen(command + [str(rank)]) for rank in range(args.ranks)]
        codes = [child.wait() for child in children]
        return max(abs(code) for code in codes)


if __name__ == "__main__":
    sys.exit(main())
