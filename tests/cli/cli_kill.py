"""What is left of a run that is killed: for cli_test.py."""
import os
import signal
import subprocess
import time

SCRIPT = """import os, time
def slow(paths, params):
    with open("pid", "w") as file:
        file.write(str(os.getpid()))
    os.rename("pid", "child.pid")
    time.sleep(600)
"""
SECONDS = 30


def alive(pid):
    """Whether the process runs; one that only nobody has waited for does not."""
    try:
        with open("/proc/%d/stat" % pid, encoding="utf-8", errors="replace") as file:
            return file.read().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def wait_for(condition):
    end = time.monotonic() + SECONDS
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


def killed_while_preprocessing(program, folder, environment):
    """SIGKILL leaves no time to end the Python child, which is in the user's function."""
    with open(os.path.join(folder, "slow.py"), "w", encoding="utf-8") as file:
        file.write(SCRIPT)
    parent = subprocess.Popen([program, "-c", "c.json"], cwd=folder, env=environment, stdin=subprocess.DEVNULL,
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    note = os.path.join(folder, "child.pid")
    started = wait_for(lambda: os.path.exists(note) or parent.poll() is not None)
    parent.kill()
    parent.wait()
    if not started or not os.path.exists(note):
        return ["the function was not called"]
    with open(note, encoding="utf-8") as file:
        child = int(file.read())
    if wait_for(lambda: not alive(child)):
        return []
    os.kill(child, signal.SIGKILL)
    return ["the Python child outlives the program"]
