"""Network namespaces of this run, and programs in them. They go with close()."""
import contextlib
import ctypes
import os
import resource
import signal
import subprocess

PREFIX = f"relay-cmp{os.getpid()}-"
LIBC = ctypes.CDLL(None, use_errno=True)
CLONE_NEWNET = 0x40000000
PR_SET_PDEATHSIG = 1
# A relay takes four descriptors a call.
DESCRIPTORS = 100_000


class CannotRun(Exception):
    """Something that is needed is not there; says what."""


class Failed(Exception):
    """A run went wrong; says how."""


def run(*words, namespace=None, stdin=None):
    where = ["ip", "netns", "exec", PREFIX + namespace] if namespace else []
    done = subprocess.run([*where, *words], input=stdin, text=True, capture_output=True,
                          timeout=60)
    if done.returncode != 0:
        raise Failed(f"{' '.join(words)}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


def ip(words, namespace=None):
    return run("ip", *(["-n", PREFIX + namespace] if namespace else []), *words.split())


def add_namespace(name):
    ip(f"netns add {PREFIX}{name}")
    ip("link set lo up", name)


def remove_namespaces():
    for name in os.listdir("/run/netns") if os.path.isdir("/run/netns") else []:
        if name.startswith(PREFIX):
            subprocess.run(["ip", "netns", "delete", name], capture_output=True)


def _enter(descriptor):
    if LIBC.setns(descriptor, CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "setns")


@contextlib.contextmanager
def inside(namespace):
    """What is opened meanwhile belongs to the namespace."""
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    there = os.open(f"/run/netns/{PREFIX}{namespace}", os.O_RDONLY)
    try:
        _enter(there)
        yield
    finally:
        _enter(home)
        os.close(there)
        os.close(home)


def start(namespace, *words, cpu=None, **options):
    """`ip netns exec` becomes the command, so the process is the command's. It ends with us."""
    def prepare():
        LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (DESCRIPTORS, DESCRIPTORS))
        if cpu is not None:
            os.sched_setaffinity(0, {cpu})
    return subprocess.Popen(["ip", "netns", "exec", PREFIX + namespace, *words],
                            preexec_fn=prepare, **options)


def end(process):
    process.terminate()
    try:
        process.wait(timeout=10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
