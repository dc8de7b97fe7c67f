"""Imported before onnxruntime: keeps its int8 products off the tile registers (AMX) of newer Intel processors.

ONNX Runtime 1.23 and 1.24 read beyond their operands there and give random numbers where a uint8 operand of 32 rows or more meets
17 to 31 columns of a thread's part (https://github.com/microsoft/onnxruntime/issues/26324), whoever made the file. A process has to ask
Linux for these registers, which says no where a thread's stack for signals is too small to save them.
"""
import ctypes
import platform
import sys


class _Stack(ctypes.Structure):  # stack_t
    _fields_ = [("sp", ctypes.c_void_p), ("flags", ctypes.c_int), ("size", ctypes.c_size_t)]


if sys.platform == "linux" and platform.machine() == "x86_64":
    _memory = ctypes.create_string_buffer(4096)  # enough for AVX-512; no handler runs on it
    ctypes.CDLL(None).sigaltstack(ctypes.byref(_Stack(ctypes.cast(_memory, ctypes.c_void_p), 0, len(_memory))), None)
