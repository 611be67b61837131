"""The summary table: each function looks at one question and gives its lines. Missing data gives no line, never a guess."""

from collections import namedtuple

from results import best, fewest_blocks, field, gbps, microseconds, size_text, smallest_reaching

# number and limit are text; ratio is a number or None.
Line = namedtuple("Line", "what number limit ratio meaning")


def memory_lines(results):
    lines = []
    rows = results.rows("gpu_hbm")
    limit = results.of("gpu_hbm")["context"].get("limit_hbm_GBps", 0)
    copies = [row for row in rows if "/copy/" in row["name"]]
    top = best(copies)
    if top is None:
        return lines
    lines.append(Line("HBM copy, best of all methods", gbps(top["GBps"]), gbps(limit) if limit else "?", top.get("ratio"),
                      f"the ceiling that counts; reached by `{top['name']}`"))
    for method, words in (("vec", "plain 16-byte loads"), ("bulk", "cp.async.bulk")):
        mine = [row for row in copies if row["name"].startswith(f"hbm/{method}/")]
        one = best([row for row in mine if row.get("blocks") == 1])
        if one:
            lines.append(Line(f"copy by one block, {words}", gbps(one["GBps"]), gbps(top["GBps"]), one["GBps"] / top["GBps"],
                              f"what one channel can move, with {size_text(one['inflight'])} in flight per "
                              + ("thread" if method == "vec" else "block")))
        few = fewest_blocks(mine, 0.9 * top["GBps"])
        if few:
            lines.append(Line(f"fewest blocks for 90 % of it, {words}", f"{few['blocks']:.0f} blocks", gbps(0.9 * top["GBps"]),
                              few["GBps"] / top["GBps"], f"channels a copy needs: `{few['name']}`"))
        elif mine:
            peak = best(mine)
            lines.append(Line(f"fewest blocks for 90 % of it, {words}", "not reached", gbps(0.9 * top["GBps"]),
                              peak["GBps"] / top["GBps"], f"best is {gbps(peak['GBps'])} with {peak['blocks']:.0f} blocks"))
    for op, words in (("sum2", "a+b→c"), ("sum4", "a+b+c+d→e")):
        for kind in ("fp32", "bf16", "fp8e4m3"):
            mine = [row for row in rows if f"/{op}/{kind}/" in row["name"]]
            peak = best(mine)
            if peak is None:
                continue
            few = fewest_blocks(mine, 0.9 * top["GBps"])
            meaning = (f"90 % of the copy ceiling from {few['blocks']:.0f} blocks on (`{few['name'].split('/')[1]}`)" if few
                       else "bound by the SMs, not by memory: never 90 % of the copy ceiling")
            lines.append(Line(f"{words} {kind}", gbps(peak["GBps"]), gbps(limit) if limit else "?", peak.get("ratio"), meaning))
    return lines


def copy_engine_lines(results):
    lines = []
    limit = results.of("gpu_hbm")["context"].get("limit_hbm_GBps", 0)
    groups = (("cudaMemcpyAsync within the device", r"hbm/ce/copy/", 1),
              ("batch of 16 copies", r"hbm/ce_batch/copies:16/overlap:0/", 16),
              ("batch of 16 copies, prefer overlap", r"hbm/ce_batch/copies:16/overlap:1/", 16))
    for words, pattern, copies in groups:
        rows = results.rows("gpu_hbm", pattern)
        top = best(rows)
        if top is None:
            continue
        size = smallest_reaching(rows, 0.5, "bytes")
        small = min(rows, key=lambda row: field(row, "bytes"))
        lines.append(Line(words, gbps(top["GBps"]), gbps(limit) if limit else "?", top.get("ratio"),
                          f"half of it from {size_text(size)} a copy on; the smallest costs "
                          f"{microseconds(small['real_time'] / copies)} a copy"))
    free = [(row["name"].split("/")[2] + " " + size_text(field(row, "bytes")), row.get("sm_free"))
            for row in results.rows("gpu_overlap", r"overlap/sm_free/")]
    if free:
        yes = [name for name, value in free if value]
        no = [name for name, value in free if not value]
        lines.append(Line("copies that need no SM", f"{len(yes)} of {len(free)} kinds", "all", len(yes) / len(free),
                          f"free: {', '.join(yes) or 'none'}; wait for SMs: {', '.join(no) or 'none'}"))
    return lines


def launch_lines(results):
    lines = []
    for name, words, meaning in (
            ("latency/launch/stream/to_completion", "launch to completion, stream", "floor of a blocking call with a kernel"),
            ("latency/launch/graph/to_completion", "launch to completion, graph", "what capture saves a caller, or not"),
            ("latency/launch/stream/host_cost", "host time of a launch", "CPU share of every small collective"),
            ("latency/launch/stream/back_to_back", "kernel after kernel in a stream", "floor of back-to-back small collectives"),
            ("latency/launch/graph/per_kernel_of_100", "kernel after kernel in a graph", "the same under capture"),
            ("latency/launch/stream/hop_by_event", "hop to another stream by event", "cost of using a stream of our own")):
        row = results.row("gpu_latency", name)
        if row:
            lines.append(Line(words, microseconds(row["real_time"]), "-", None, meaning))
    return lines


def flag_lines(results):
    lines = []
    load = results.row("gpu_latency", "latency/load/l2")
    floor = load["real_time"] if load else None
    times = {}
    for row in results.rows("gpu_latency", r"latency/sm_to_sm/"):
        kind = row["name"].split("/")[2]
        times[kind] = row["real_time"]
        torn = row.get("torn", 0)
        meaning = "one way between two SMs, polling; the limit is one dependent load from L2"
        if torn:
            meaning = f"UNSAFE: {torn:.0f} times data was not there with its flag"
        lines.append(Line(f"SM to SM, {kind}", microseconds(row["real_time"]), microseconds(floor) if floor else "?",
                          floor / row["real_time"] if floor else None, meaning))
    fenced = times.get("data_512_byte_then_flag_gpu")
    block = best([row for row in results.rows("gpu_hbm", r"hbm/vec/copy/") if row.get("blocks") == 1])
    for kind, words, extra in (("ll_8_byte_word", "LL", 1.0), ("ll128_four_lines", "LL128", 1 / 15)):
        if fenced is None or block is None or kind not in times:
            continue
        saved = fenced - times[kind]
        if saved <= 0:
            lines.append(Line(f"{words} against data then flag", "never pays", "-", None,
                              "its hop is no faster than a fence here: leave it out"))
            continue
        # What it saves a hop, against what its flags cost as extra bytes at one block's speed.
        pays = saved * 1e3 * (block["GBps"] / 2) / extra
        lines.append(Line(f"{words} pays up to", f"{size_text(pays)} per block", "-", None,
                          f"it saves {microseconds(saved)} a hop and carries {extra:.0%} more bytes; an estimate to start from"))
    return lines


def cpu_lines(results):
    lines = []
    load = results.row("gpu_latency", "latency/load/mapped_host")
    floor = load["real_time"] if load else None
    meanings = {
        "mapped_host": "flags of a proxy: the limit is one load over the host link",
        "bar_by_gdrcopy": "CPU stores straight into device memory",
        "stream_write_value": "a stream stores for the CPU",
        "memcpy_async_4_byte": "a 4-byte copy stores for the CPU",
    }
    for row in results.rows("gpu_latency", r"latency/gpu_cpu/"):
        kind = row["name"].split("/")[2]
        lines.append(Line(f"GPU and CPU, {kind}, round trip", microseconds(row["real_time"]),
                          microseconds(floor) if floor else "?", floor / row["real_time"] if floor else None,
                          meanings.get(kind, "")))
    for row in results.rows("gpu_latency", r"latency/stream_value/"):
        kind = row["name"].split("/")[2]
        lines.append(Line(f"stream wait and write value, {kind}", microseconds(row["real_time"]), "-", None,
                          "what one step of an SM-free plan costs beside its bytes"))
    return lines


def sharing_lines(results):
    lines = []
    for program, condition in (("gpu_sharing", ""), ("gpu_sharing_mps", " under MPS")):
        for row in results.rows(program, r"sharing/(cuda_ipc|cumem_fd)/") if program == "gpu_sharing" else []:
            lines.append(Line(f"memory of another process, {row['name'].split('/')[1]}", gbps(row.get("GBps", 0)), "works",
                              row.get("ratio"), f"opened in {microseconds(row.get('open_us', 0))}"))
        for row in results.rows(program, r"sharing/two_processes/flag_round_trip/"):
            together = row.get("co_resident") == 1
            time = microseconds(row["real_time"]) if "real_time" in row else "never"
            lines.append(Line(f"flags of two processes' kernels{condition}, {row['name'].split('/')[-1]}", time + " a round trip",
                              "-", None,
                              "both kernels run: ranks of several processes may spin on each other" if together else
                              "kernels take turns: ranks that share a GPU must not spin for one another"))
        for row in results.rows(program, r"sharing/two_processes/copy/"):
            lines.append(Line(f"two processes copy{condition}, {row.get('blocks', 0):.0f} blocks each",
                              gbps(row.get("both_GBps", 0)), gbps(row.get("limit_GBps", 0)), row.get("share_kept"),
                              "ratio 1: side by side; 0.5: in turns"))
    for row in results.rows("gpu_sharing", r"sharing/(two_streams|green_contexts)/"):
        number = microseconds(row["real_time"]) if "real_time" in row else (
            gbps(row["both_GBps"]) if "both_GBps" in row else row.get("label", ""))
        lines.append(Line(row["name"][len("sharing/"):].replace("/", ", ").replace("_", " "), number, "-",
                          row.get("share_kept"), row.get("label", "")))
    return lines


def overlap_lines(results):
    lines = []
    alone = results.row("gpu_overlap", "overlap/gemm_alone")
    if alone:
        limit = alone.get("limit_TFlops")
        lines.append(Line("bf16 product alone", f"{alone.get('TFlops', 0):.0f} TFLOP/s", f"{limit:.0f} TFLOP/s" if limit else "?",
                          alone.get("ratio"), str(results.of("gpu_overlap")["context"].get("gemm", ""))))
    for row in results.rows("gpu_overlap", r"overlap/gemm_with_copy"):
        part = row["name"].split("/", 1)[1].replace("gemm_with_", "product beside ").replace("_", " ")
        lines.append(Line(part, f"{row.get('gemm_slowdown', 0):.2f} times as long", "1", 1 / row["gemm_slowdown"]
                          if row.get("gemm_slowdown") else None,
                          f"the copy moves {gbps(row.get('copy_GBps', 0))}, {row.get('copy_kept', 0):.0%} of what it does alone"))
    return lines


def host_lines(results):
    lines = []
    for way in ("h2d", "d2h", "both"):
        rows = results.rows("gpu_host_device", f"host_device/{way}/chunk:")
        top = best(rows)
        if top:
            size = smallest_reaching(rows, 0.9, "chunk")
            lines.append(Line(f"host link, {way}", gbps(top["GBps"]), gbps(top["limit_GBps"]) if "limit_GBps" in top else "?",
                              top.get("ratio"), f"90 % of it with chunks from {size_text(size)} on"))
    rows = results.rows("gpu_host_device", r"host_device/engines_d2d/")
    if rows:
        top, one = best(rows), rows[0]
        lines.append(Line("device copies in 1 to 4 streams", gbps(top["GBps"]), gbps(one["GBps"]) + " in one",
                          top["GBps"] / one["GBps"] if one["GBps"] else None,
                          f"best with {field(top, 'streams')} streams: so many engines (or so much bandwidth) are usable"))
    return lines


def peer_lines(results):
    lines = []
    version = results.of("gpu_peer_nccl")["context"].get("nccl_version", "?")
    for ranks in (2, 4, 8):
        rows = sorted(results.rows("gpu_peer_nccl", f"peer/all_reduce/ranks:{ranks}/out_of_place/"), key=lambda row: field(row, "bytes"))
        picks = [rows[0]] if len(rows) == 1 else [rows[0], rows[-1]] if rows else []
        for row in picks:
            lines.append(Line(f"NCCL {version} all_reduce, {ranks} ranks on one GPU, {size_text(field(row, 'bytes'))}",
                              microseconds(row["real_time"]), microseconds(row.get("limit_us", 0)), row.get("ratio"),
                              "the time to beat; the limit is each input read and each output written once"))
    return lines


def all_lines(results):
    parts = (memory_lines, copy_engine_lines, launch_lines, flag_lines, cpu_lines, sharing_lines, overlap_lines, host_lines,
             peer_lines)
    return [line for part in parts for line in part(results)]
