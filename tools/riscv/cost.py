#!/usr/bin/env python3
"""Counts the vector instructions of the RVV kernels' hot loops, by disassembly.

Usage: cost.py [--check] PROGRAM      PROGRAM: a linked riscv64 program that holds the kernels, not stripped

Prints a Markdown table. --check: exit status 1 when a loop breaks its limit. Instruction counts only: times measured
in an emulator say nothing about a processor.
"""
import re
import subprocess
import sys

FMA = re.compile(r"^vf(n?m(acc|sac|add|sub))\.v[vf]$")
MEMORY = re.compile(r"^v[ls]s?e\d+\.v$|^v[ls](seg|[0-9]re?\d*\.v)")
SPILL = re.compile(r"^(vs|vl)\d+re?\d*\.v$")

# Name in the table, function, which loop (the innermost with most of this pattern), LMUL of the floats, limits.
KERNELS = [
    ("gemm, 14 rows", r"rvv::.*::Tile<14>\(", FMA, 2, {"fma": 0.80, "spills": 0}),
    ("gemm, 8 rows", r"rvv::.*::Tile<8>\(", FMA, 2, {"fma": 0.80, "spills": 0}),
    ("depthwise 3x3, stride 1", r"rvv::.*::Rows<3, 1, 4>\(", FMA, 2, {"fma": 0.60, "spills": 0}),
    ("depthwise 3x3, stride 2", r"rvv::.*::Rows<3, 2, 4>\(", FMA, 2, {"fma": 0.50, "spills": 0}),
    ("depthwise 5x5, stride 1", r"rvv::.*::Rows<5, 1, 4>\(", FMA, 2, {"fma": 0.65, "spills": 0}),
    ("quantize_s8", r"rvv::.*::QuantizeS8\(", MEMORY, 4, {"most": 11, "spills": 0}),
    ("quantize_u8", r"rvv::.*::QuantizeU8\(", MEMORY, 4, {"most": 11, "spills": 0}),
    ("fake_quantize", r"rvv::.*::FakeQuantize\(", MEMORY, 4, {"most": 11, "spills": 0}),
    ("dequantize_s8", r"rvv::.*::DequantizeS8\(", MEMORY, 4, {"most": 5, "spills": 0}),
    ("min_max", r"rvv::.*::MinMaxOf\(", MEMORY, 4, {"most": 12, "spills": 0}),
    ("max", r"rvv::.*::Extreme<true>\(", MEMORY, 4, {"most": 4, "spills": 0}),
    ("sum, 256 bits", r"rvv::.*::Sum<.*Groupm2>\(", MEMORY, 2, {"most": 2, "spills": 0}),
    ("softmax: exp", r"rvv::.*::Softmax<.*Groupm2>\(", FMA, 2, {"most": 40, "spills": 0}),
]


def disassemble(program):
    """Function name -> [(address, instruction, operands)]."""
    text = subprocess.run(["llvm-objdump-19", "-d", "-C", "--no-show-raw-insn", "--mattr=+v", program], check=True,
                          capture_output=True, text=True).stdout
    functions, body = {}, None
    for line in text.splitlines():
        header = re.match(r"^[0-9a-f]+ <(.*)>:$", line)
        if header:
            if not header.group(1).startswith(".L"):
                body = functions.setdefault(header.group(1), [])
            continue
        code = re.match(r"^\s*([0-9a-f]+):\s+(\S+)\s*(.*)$", line)
        if code and body is not None:
            body.append((int(code.group(1), 16), code.group(2), code.group(3)))
    return functions


def loops(body):
    """The innermost loops of a function, as lists of instructions."""
    found = []
    for address, name, operands in body:
        if name in ("j", "jal") or name.startswith("b"):
            target = re.search(r"0x([0-9a-f]+)\b(?!.*0x[0-9a-f]+ <)", operands)
            if target and body[0][0] <= int(target.group(1), 16) <= address:
                found.append((int(target.group(1), 16), address))
    inner = [a for a in found if not any(b != a and a[0] <= b[0] and b[1] <= a[1] for b in found)]
    return [[i for i in body if begin <= i[0] <= end] for begin, end in inner]


def main(arguments):
    check, program = "--check" in arguments, arguments[-1]
    functions = disassemble(program)
    problems = []
    print("| hot loop | LMUL | vector instructions | of them FMA | share | vsetvli | register spills |")
    print("|---|---|---|---|---|---|---|")
    for label, pattern, interest, lmul, limits in KERNELS:
        bodies = [body for name, body in functions.items() if re.search(pattern, name)]
        candidates = [loop for body in bodies for loop in loops(body)]
        candidates.sort(key=lambda loop: sum(bool(interest.match(i[1])) for i in loop))
        if len(bodies) != 1 or not candidates or not any(interest.match(i[1]) for i in candidates[-1]):
            problems.append(f"{label}: no such loop in {program} ({len(bodies)} functions)")
            continue
        names = [i[1] for i in candidates[-1]]
        sets = sum(name.startswith("vset") for name in names)
        vector = sum(name.startswith("v") for name in names) - sets
        fma = sum(bool(FMA.match(name)) for name in names)
        spills = sum(bool(SPILL.match(name)) for name in names)
        print(f"| {label} | {lmul} | {vector} | {fma} | {fma / vector:.0%} | {sets} | {spills} |")
        if fma / vector < limits.get("fma", 0):
            problems.append(f"{label}: {fma} FMAs of {vector} vector instructions, limit {limits['fma']:.0%}")
        if vector > limits.get("most", 1000):
            problems.append(f"{label}: {vector} vector instructions, limit {limits['most']}")
        if spills > limits["spills"]:
            problems.append(f"{label}: {spills} spills of vector registers")
    print("\n".join(problems), end="\n" if problems else "")
    return 1 if check and problems else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
