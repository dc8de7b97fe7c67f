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


def start(program, folder, environment):
    """The program, once its Python child is in the user's function, and the child's number; None when it does not come there."""
    with open(os.path.join(folder, "slow.py"), "w", encoding="utf-8") as file:
        file.write(SCRIPT)
    parent = subprocess.Popen([program, "-c", "c.json"], cwd=folder, env=environment, stdin=subprocess.DEVNULL,
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    note = os.path.join(folder, "child.pid")
    started = wait_for(lambda: os.path.exists(note) or parent.poll() is not None)
    if not started or not os.path.exists(note):
        parent.kill()
        parent.wait()
        return parent, None
    with open(note, encoding="utf-8") as file:
        return parent, int(file.read())


def ended_by(number, program, folder, environment):
    """What is wrong after that signal."""
    parent, child = start(program, folder, environment)
    if child is None:
        return ["the function was not called"]
    parent.send_signal(number)
    wrong = [] if parent.wait(SECONDS) == -number else ["status %d" % parent.returncode]
    if wait_for(lambda: not alive(child)):
        return wrong
    os.kill(child, signal.SIGKILL)
    return wrong + ["the Python child outlives the program"]


def killed_while_preprocessing(program, folder, environment):
    """SIGKILL leaves no time to end the Python child."""
    return ended_by(signal.SIGKILL, program, folder, environment)


def interrupted(program, folder, environment):
    """Nothing of the run is left, not even the folder that it made."""
    wrong = ended_by(signal.SIGTERM, program, folder, environment)
    return wrong + (["left the folder w"] if os.path.exists(os.path.join(folder, "w")) else [])
