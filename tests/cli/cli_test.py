#!/usr/bin/env python3
"""What a user sees of the command line: exit status, message, files written.

Usage: cli_test.py XSLIM [NAME_PART...]

Each case (cli_case.py, cli_cases.py) runs in a fresh folder with small models, data and lists. Whatever the case: no crash, an
error is one line on stderr, and nothing is left behind after an error.
"""
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile

import onnx

import cli_cases
from cli_case import BASE, CALIBRATION, CASES, INPUT, MODEL, QUANTIZATION, build_template, config, write
from cli_kill import interrupted, killed_while_preprocessing


def snapshot(folder):
    result = {}
    for base, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if name != "__pycache__"]
        for name in folders:
            result[os.path.relpath(os.path.join(base, name), folder) + os.sep] = ""
        for name in files:
            path = os.path.join(base, name)
            if not os.path.isfile(path):  # nothing is read from a pipe
                continue
            result[os.path.relpath(path, folder)] = hashlib.sha256(open(path, "rb").read()).hexdigest()
    return result


def environment_of(more=None):
    """The program starts python3 for preprocess functions; the one of this test has numpy."""
    path = os.path.dirname(os.path.abspath(sys.executable)) + os.pathsep + os.environ.get("PATH", "")
    return {**os.environ, "PATH": path, **(more or {})}


def execute(program, args, folder, environment=None):
    return subprocess.run([program] + args, cwd=folder, env=environment_of(environment), stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=120)


def complaints(item, program, folder):
    """Runs one case in `folder`; returns what is wrong."""
    if item["setup"]:
        item["setup"](folder)
    if item["config"] is not None:
        write(os.path.join(folder, "c.json"), json.dumps(item["config"], indent=1))
    before = snapshot(folder)
    done = execute(program, item["args"], folder, item["environment"])
    after = snapshot(folder)
    wrong = []
    out, err = done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace")
    allowed = (0, 1) if item["status"] is None else (item["status"],)
    if done.returncode not in allowed:
        wrong.append("status %d, expected %s" % (done.returncode, allowed))
    for fragment in item["says"]:
        unwanted = fragment.startswith("!")
        if (fragment.lstrip("!").lower() in (out + err).lower()) == unwanted:
            wrong.append(("says %r" if unwanted else "does not say %r") % fragment.lstrip("!"))
    errors = [line for line in err.splitlines() if "error:" in line]
    expected_errors = 0 if done.returncode == 0 or item["args"] == [] else 1
    if len(errors) != expected_errors or any(not line.startswith("xslim: error: ") for line in errors):
        wrong.append("%d lines of error, expected %d" % (len(errors), expected_errors))
    changed = [name for name in before if after.get(name) != before[name]]
    if changed:
        wrong.append("changed or removed %s" % changed)
    new = sorted(set(after) - set(before))
    written = done.returncode in (0, 3)  # 3: a gate is missed, the files are there
    if not written and new:
        wrong.append("left behind %s" % new)
    new = [name for name in new if not name.endswith(os.sep)]
    if written and item["files"] and new != item["files"]:
        wrong.append("wrote %s, expected %s" % (new, item["files"]))
    if written:
        for name in new:
            if name.endswith(".onnx") and item["valid"]:
                onnx.checker.check_model(onnx.load(os.path.join(folder, name)))
            if name.endswith("_verdict.json"):
                wrong += wrong_verdict(os.path.join(folder, name), done.returncode)
    if wrong:
        wrong.append("stderr: " + err.strip()[-600:])
    return wrong


def wrong_verdict(path, status):
    """What is wrong with a verdict file."""
    def refuse(constant):
        raise ValueError("%s in %s" % (constant, path))

    with open(path, encoding="utf-8") as file:
        verdict = json.load(file, parse_constant=refuse)
    wrong = []
    if verdict["pass"] != (status == 0) or verdict["pass"] != all(gate["pass"] for gate in verdict["gates"]):
        wrong.append("the verdict says pass: %s, the status is %d" % (verdict["pass"], status))
    if any(gate["pass"] != (not gate["missed"]) for gate in verdict["gates"]):
        wrong.append("a gate that is missed by nothing or passed by something: %s" % verdict["gates"])
    if not verdict["outputs"] or verdict["int8_macs"] > verdict["macs"]:
        wrong.append("outputs %s, %s of %s multiply-adds" % (verdict["outputs"], verdict["int8_macs"], verdict["macs"]))
    if verdict["collapsed"] != any(part["collapse"] for output in verdict["outputs"] for part in output["parts"]):
        wrong.append("collapsed: %s, outputs %s" % (verdict["collapsed"], verdict["outputs"]))
    for item in verdict.get("sensitivity", {}).get("operators", []):
        if len(item["alone_int8"]) != len(verdict["sensitivity"]["rows"]):
            wrong.append("sensitivity: %s" % item)
    return wrong


def full_disk(program, template, folder):
    """A disk that is full: a small tmpfs. Returns complaints, or None when it cannot be mounted."""
    disk = os.path.join(folder, "disk")
    os.makedirs(disk)
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16k", "tmpfs", disk], stdout=subprocess.DEVNULL,
                             stderr=subprocess.DEVNULL, check=False) if os.geteuid() == 0 else None
    if mounted is None or mounted.returncode != 0:
        return None
    try:
        write(os.path.join(disk, "filler"), b"\0" * 16384)
        done = execute(program, ["-i", os.path.join(template, "m.onnx"), "-o", os.path.join(disk, "o.onnx")], folder)
        err = done.stderr.decode(errors="replace")
        wrong = []
        if done.returncode != 1 or "o.onnx" not in err:
            wrong.append("status %d, stderr: %s" % (done.returncode, err))
        if os.listdir(disk) != ["filler"]:
            wrong.append("left behind %s" % os.listdir(disk))
        return wrong
    finally:
        subprocess.run(["umount", disk], check=False)


def full_output(program, folder):
    """What does not take the summary or a help text is an error, and the model is there all the same."""
    wrong = []
    write(os.path.join(folder, "c.json"), json.dumps(config({QUANTIZATION + "min_cosine": 1})))
    for args, status in ((["--help"], 1), (["--help-config"], 1), (["--version"], 1), (["--list-passes"], 1),
                         (["-i", "m.onnx", "-o", "o.onnx"], 1), (["-i", "m.onnx", "-o", "o.onnx", "-q"], 0),
                         (["-c", "c.json", "-q"], 3)):
        with open("/dev/full", "wb") as full:
            done = subprocess.run([program] + args, cwd=folder, stdout=full, stderr=subprocess.PIPE, timeout=120, check=False)
        if done.returncode != status or (status == 1) != (b"standard output: cannot write (No space left" in done.stderr):
            wrong.append("%s: status %d, stderr: %s" % (args, done.returncode, done.stderr.decode(errors="replace")))
    onnx.checker.check_model(onnx.load(os.path.join(folder, "o.onnx")))
    return wrong


def closed_streams(program, folder):
    """Started without stdout and stderr, the program must not take a file of its own for one of them."""
    done = subprocess.run(["sh", "-c", 'exec "$0" -v -i m.onnx -o o.onnx <&- >&- 2>&-', os.path.abspath(program)], cwd=folder,
                          timeout=120, check=False)
    if done.returncode != 0:
        return ["status %d" % done.returncode]
    onnx.checker.check_model(onnx.load(os.path.join(folder, "o.onnx")))
    return []


def piped_config(program, folder):
    """A config may come through a pipe, like a shell's <(...); one that nobody writes to is not waited for."""
    text, wrong = json.dumps(config()).encode(), []
    done = subprocess.run([program, "-c", "/dev/stdin", "-q"], cwd=folder, input=text, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          timeout=120, check=False)
    if done.returncode != 0 or not os.path.exists(os.path.join(folder, "w", "out.onnx")):
        wrong.append("status %d: %s" % (done.returncode, done.stderr.decode(errors="replace")))
    done = subprocess.run([program, "-c", "/dev/stdin", "-o", "l.onnx", "--log-file", "l.txt"], cwd=folder,
                          input=text.replace(b'"calibration_step"', b'"calibration_stop"'), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          timeout=120, check=False)
    if done.returncode != 0 or done.stderr.count(b"calibration_stop: unknown key") != 1:
        wrong.append("with a log file: status %d: %s" % (done.returncode, done.stderr.decode(errors="replace")))
    os.mkfifo(os.path.join(folder, "idle.json"))
    done = execute(program, ["-c", "idle.json"], folder)
    if done.returncode != 1 or b"idle.json" not in done.stderr:
        wrong.append("idle pipe: status %d: %s" % (done.returncode, done.stderr.decode(errors="replace")))
    return wrong


def same_bytes(program, folder):
    """The thread count must not change the file."""
    write(os.path.join(folder, "c.json"), json.dumps(BASE))
    for threads in ("1", "3"):
        done = execute(program, ["-c", "c.json", "-o", "t%s.onnx" % threads, "--threads", threads], folder)
        if done.returncode != 0:
            return ["status %d, stderr: %s" % (done.returncode, done.stderr.decode(errors="replace"))]
    files = [open(os.path.join(folder, "t%s.onnx" % threads), "rb").read() for threads in ("1", "3")]
    return [] if files[0] == files[1] else ["1 and 3 threads give different files"]


def statistics_files(program, folder):
    """Statistics that were saved give the same files again, and other settings without calibrating; damage is refused."""
    def run(name, changes, *options):
        write(os.path.join(folder, "c.json"), json.dumps(config({CALIBRATION + "calibration_type": "default", **changes})))
        return execute(program, ["-c", "c.json", "-o", name + ".onnx"] + list(options), folder)

    def same(a, b):
        return open(os.path.join(folder, a), "rb").read() == open(os.path.join(folder, b), "rb").read()

    own = {CALIBRATION + "calibration_type": "percentile", QUANTIZATION + "custom_setting": [
        {"input_names": ["a"], "output_names": ["y"], "max_percentile": 0.99}]}
    wrong = []
    for name, changes, *options in (
            ("own", own), ("own_saved", own, "--save-stats", "own.stats"), ("own_loaded", own, "--load-stats", "own.stats"),
            ("plain", {}), ("saved", {}, "--save-stats", "s.stats"), ("loaded", {}, "--load-stats", "s.stats"),
            ("mse", {CALIBRATION + "calibration_type": "mse", QUANTIZATION + "ignore_op_types": ["Relu"]}),
            ("mse_loaded", {CALIBRATION + "calibration_type": "mse", QUANTIZATION + "ignore_op_types": ["Relu"]},
             "--load-stats", "s.stats"),
            ("other_percentile", {CALIBRATION + "calibration_type": "percentile", QUANTIZATION + "max_percentile": 0.99},
             "--load-stats", "s.stats")):
        done = run(name, changes, *options)
        if done.returncode != 0:
            return ["%s: status %d, stderr: %s" % (name, done.returncode, done.stderr.decode(errors="replace"))]
        if name == "other_percentile" and b"histograms" not in done.stderr:
            wrong.append("does not say that the percentile comes from the histograms")
    for a, b in (("plain", "saved"), ("plain", "loaded"), ("mse", "mse_loaded"), ("own", "own_saved"), ("own", "own_loaded")):
        if not same(a + ".onnx", b + ".onnx"):
            wrong.append("%s and %s differ" % (a, b))
    whole = open(os.path.join(folder, "s.stats"), "rb").read()
    write(os.path.join(folder, "cut.stats"), whole[:-40])
    write(os.path.join(folder, "flipped.stats"), whole[:300] + bytes([whole[300] ^ 4]) + whole[301:])
    for name, changes, says in (
            ("cut.stats", {}, "damaged"), ("flipped.stats", {}, "damaged"), ("m.onnx", {}, "--load-stats: m.onnx: is no file of statistics"),
            ("nope.stats", {}, "nope.stats"), ("s.stats", {CALIBRATION + "calibration_step": 11}, "other data"),
            ("s.stats", {INPUT + "data_list_path": "cal/five.txt"}, "make the file anew"),  # equalization reads data, too
            ("s.stats", {MODEL + "onnx_model": "log.onnx"}, "another model")):
        done = run("refused", changes, "--load-stats", name)
        if done.returncode != 1 or says not in done.stderr.decode(errors="replace"):
            wrong.append("%s with %s: status %d, stderr: %s" % (name, changes, done.returncode, done.stderr.decode()))
    return wrong


def memory_ceiling(program, folder):
    """A ceiling changes nothing of the result; one that cannot be kept is refused."""
    write(os.path.join(folder, "c.json"), json.dumps(config({QUANTIZATION + "analysis_enable": True})))
    wrong = []
    for name, size in (("free", None), ("tight", "500M")):
        done = execute(program, ["-c", "c.json", "-o", name + ".onnx", "--threads", "8"] +
                       (["--max-memory", size] if size else []), folder)
        if done.returncode != 0:
            wrong.append("%s: status %d, stderr: %s" % (name, done.returncode, done.stderr.decode(errors="replace")))
    if not wrong and (open(os.path.join(folder, "free.onnx"), "rb").read() !=
                      open(os.path.join(folder, "tight.onnx"), "rb").read()):
        wrong.append("the ceiling changes the file")
    done = execute(program, ["-c", "c.json", "-o", "low.onnx", "--max-memory", "4M"], folder)
    if done.returncode != 1 or b"too low" not in done.stderr:
        wrong.append("4M: status %d, stderr: %s" % (done.returncode, done.stderr.decode(errors="replace")))
    return wrong


def profile(program, folder):
    """The profile is a trace that holds every stage and operator; the same file comes out."""
    write(os.path.join(folder, "c.json"), json.dumps(config({QUANTIZATION + "analysis_enable": True})))
    for options in (["-o", "a.onnx"], ["-o", "b.onnx", "--profile", "p.json"]):
        done = execute(program, ["-c", "c.json"] + options, folder)
        if done.returncode != 0:
            return ["status %d, stderr: %s" % (done.returncode, done.stderr.decode(errors="replace"))]
    wrong = []
    events = json.load(open(os.path.join(folder, "p.json"), encoding="utf-8"))["traceEvents"]
    stages = [event["name"] for event in events if event["cat"] == "stage"]
    if not {"simplify", "calibrate", "report", "save"} <= set(stages):
        wrong.append("stages %s" % stages)
    types = {event["args"]["type"] for event in events if event["cat"] == "operator"}
    if "Conv" not in types:
        wrong.append("operator types %s" % types)
    if any(event["dur"] < 0 or event["ts"] < 0 or event["ph"] != "X" for event in events):
        wrong.append("an event without begin or length")
    if b"Conv" not in done.stderr or b"calibrate" not in done.stderr:
        wrong.append("no table: %s" % done.stderr.decode(errors="replace"))
    if open(os.path.join(folder, "a.onnx"), "rb").read() != open(os.path.join(folder, "b.onnx"), "rb").read():
        wrong.append("the profile changes the file")
    return wrong


def all_runs(program):
    """Every case as (name, function that runs it in a folder and returns complaints)."""
    cli_cases.add_all()

    def while_preprocessing(ended):
        def run(folder):
            write(os.path.join(folder, "c.json"), json.dumps(config({INPUT + "preprocess_file": "slow.py:slow"})))
            return ended(program, folder, environment_of())
        return run

    runs = runs_of_cases(program)
    runs.append(("killed while preprocessing", while_preprocessing(killed_while_preprocessing)))
    runs.append(("interrupted", while_preprocessing(interrupted)))
    runs.append(("full disk", lambda folder: full_disk(program, os.path.join(os.path.dirname(folder), "template"), folder)))
    if os.path.exists("/dev/full"):
        runs.append(("full standard output", lambda folder: full_output(program, folder)))
    for name, function in (("closed streams", closed_streams), ("piped config", piped_config), ("threads do not change the file", same_bytes),
                           ("statistics files", statistics_files), ("memory ceiling", memory_ceiling), ("profile", profile)):
        runs.append((name, lambda folder, function=function: function(program, folder)))
    return runs


def runs_of_cases(program):
    return [(item["name"], lambda folder, item=item: complaints(item, program, folder)) for item in CASES]


def main(runs_for=all_runs):
    """Runs what `runs_for` gives for the program, each in a fresh copy of the template."""
    program, only = os.path.abspath(sys.argv[1]), sys.argv[2:]
    top = tempfile.mkdtemp(prefix="xslim_cli_")
    template = os.path.join(top, "template")
    build_template(template)
    failed, skipped, ran = [], 0, 0
    try:
        for name, run in runs_for(program):
            if only and not any(part in name for part in only):
                continue
            folder = os.path.join(top, "case")
            shutil.copytree(template, folder)
            try:
                wrong = run(folder)
            except Exception as error:  # pylint: disable=broad-except
                wrong = ["%s: %s" % (type(error).__name__, error)]
            shutil.rmtree(folder)
            ran += 1
            if wrong is None:
                skipped += 1
                print("SKIPPED %s" % name)
            elif wrong:
                failed.append(name)
                print("FAILED %s" % name)
                for line in wrong:
                    print("    " + line)
    finally:
        shutil.rmtree(top, ignore_errors=True)
    print("%d cases, %d failed, %d skipped" % (ran, len(failed), skipped))
    return 1 if failed or ran == 0 else 0


if __name__ == "__main__":
    sys.exit(main())
