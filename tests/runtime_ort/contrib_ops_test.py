#!/usr/bin/env python3
"""com.microsoft operators of our executor against ONNX Runtime. Usage: contrib_ops_test.py RUN_VALUES [ROUNDS]

One-node models with random shapes and attributes; the weights among the inputs are initializers in half of the cases.
Codes may differ by one step, floats by 1e-4 of the largest or by what LOOSER says. ROUNDS cases of each operator (6).
"""
import os
import subprocess
import sys
import tempfile

import numpy as np
import onnx
from onnx import helper, numpy_helper

from helpers import Checks, onnxruntime as ort

RNG = np.random.default_rng(7)


def real(*shape, scale=1.0):
    return (RNG.standard_normal(shape) * scale).astype(np.float32)


def codes(dtype, *shape):
    info = np.iinfo(dtype)
    return RNG.integers(info.min, info.max + 1, shape).astype(dtype)


def scale(low=0.005, high=0.05):
    return np.float32(RNG.uniform(low, high))


def pick(*values):
    return values[RNG.integers(len(values))]


def size(low, high):
    return int(RNG.integers(low, high + 1))


def narrow(dtype, *shape):
    """Codes whose products ONNX Runtime can add up exactly on processors without VNNI: it saturates pairs at 16 bits."""
    low, high = (-64, 64) if dtype == np.int8 else (0, 128)
    return RNG.integers(low, high, shape).astype(dtype)


def code_type():
    return pick(np.int8, np.uint8)


def zero(dtype):
    info = np.iinfo(dtype)
    return dtype(RNG.integers(info.min // 2, info.max // 2 + 1))


# ---- cases: (inputs, attributes); an input of None is left out. Inputs of index in WEIGHTS may be initializers.

def fused_conv():
    group, n, stride = pick(1, 2), size(1, 2), size(1, 2)
    x, w = real(n, 4, size(5, 9), size(5, 9)), real(6, 4 // group, 3, 3)
    activation = pick(("Relu", None), ("Tanh", None), ("Sigmoid", None), ("LeakyRelu", [0.2]), ("Clip", [-0.5, 1.5]),
                      ("HardSigmoid", [0.3, 0.4]))
    attributes = dict(group=group, strides=[stride, stride], pads=[1, 1, 1, 1], kernel_shape=[3, 3], activation=activation[0])
    if activation[1]:
        attributes["activation_params"] = activation[1]
    inputs = [x, w, real(6)]
    if pick(True, False) and group == 1:
        inputs.append(real(n, 6, (x.shape[2] - 1) // stride + 1, (x.shape[3] - 1) // stride + 1))
    return inputs, attributes


def gelu():
    return [real(size(1, 3), size(1, 20), scale=3)], {}


def quick_gelu():
    return [real(size(1, 3), size(1, 20), scale=3)], dict(alpha=float(RNG.uniform(0.5, 2)))


def bias_gelu():
    d = size(1, 40)
    return [real(2, size(1, 4), d), real(d)], {}


def fast_gelu():
    d = size(1, 40)
    return [real(2, size(1, 4), d), pick(real(d), None)], {}


def skip_norm(simplified):
    b, s, d = size(1, 3), size(1, 5), size(2, 33)
    skip = pick((b, s, d), (1, s, d), (s, d))
    inputs = [real(b, s, d), real(*skip), real(d)]
    if not simplified:
        inputs.append(pick(real(d), None))
    inputs.append(pick(real(d), None))
    return inputs, dict(epsilon=pick(1e-5, 1e-12))


def embed_layer_norm():
    b, s, d = size(1, 3), size(1, 6), size(2, 17)
    ids = RNG.integers(0, 11, (b, s)).astype(np.int32)
    segments = pick(True, False)
    inputs = [ids, RNG.integers(0, 3, (b, s)).astype(np.int32) if segments else None, real(11, d), real(8, d),
              real(3, d) if segments else None, real(d), real(d)]
    if pick(True, False):
        inputs.append((np.arange(s) < RNG.integers(1, s + 1, (b, 1))).astype(np.int32))
    return inputs, dict(epsilon=1e-5), 2


def fused_matmul():
    m, k, n, batch = size(1, 9), size(1, 9), size(1, 9), size(1, 3)
    turn_a, turn_b = pick(0, 1), pick(0, 1)
    a, b = real(batch, *((k, m) if turn_a else (m, k))), real(batch, *((n, k) if turn_b else (k, n)))
    attributes = dict(transA=turn_a, transB=turn_b, alpha=float(RNG.uniform(0.2, 2)))
    if pick(True, False):  # the batch axis behind the rows
        a, attributes["transBatchA"] = np.ascontiguousarray(a.transpose(1, 0, 2)), 1
    if pick(True, False):
        b, attributes["transBatchB"] = np.ascontiguousarray(b.transpose(1, 0, 2)), 1
    return [a, b], attributes


def fused_gemm():
    m, k, n, turn = size(1, 9), size(1, 9), size(1, 9), pick(0, 1)
    activation = pick(dict(activation="Relu"), dict(activation="Sigmoid"), dict(activation="Tanh"),
                      dict(activation="LeakyRelu", activation_alpha=0.3))
    return [real(m, k), real(*((n, k) if turn else (k, n))), pick(real(n), real(m, n))], \
        dict(transB=turn, alpha=0.7, beta=1.3, **activation)


def padding(b, s, total):
    """A mask in one of its forms, without rows that have no valid key."""
    lengths = RNG.integers(1, total + 1, b).astype(np.int32)
    keys = (np.arange(total) < lengths[:, None]).astype(np.int32)
    return pick(None, lengths, keys, np.repeat(keys[:, None], s, axis=1))


def attention():
    b, s, heads, each, d, past = size(1, 3), size(1, 5), size(1, 3), size(2, 6), size(2, 9), pick(0, 0, size(1, 3))
    v_each = each if past else pick(each, size(2, 6))
    q, v = heads * each, heads * v_each
    inputs = [real(b, s, d), real(d, 2 * q + v), real(2 * q + v), padding(b, s, s + past),
              real(2, b, heads, past, each) if past else None, None if past else pick(None, real(1, heads, s, s))]
    attributes = dict(num_heads=heads, unidirectional=pick(0, 1))
    if v_each != each:
        attributes["qkv_hidden_sizes"] = [q, q, v]
    return inputs, attributes, 2 if past else 1


def multi_head_attention():
    b, s, length, heads, each = size(1, 3), size(1, 5), size(1, 6), size(1, 3), size(2, 6)
    d, past = heads * each, pick(0, 0, size(1, 3))
    if past:
        length = s
    v_each = each if past else pick(each, size(2, 6))
    total = length + past
    keys = padding(b, s, total)
    inputs = [real(b, s, d), real(b, length, d), real(b, length, heads * v_each),
              pick(None, real(2 * d + heads * v_each)), keys, pick(None, real(pick(1, b), pick(1, heads), s, total))]
    attributes = dict(num_heads=heads)
    if pick(True, False):
        attributes["scale"] = float(RNG.uniform(0.1, 1))
    if past:
        inputs += [real(b, heads, past, each), real(b, heads, past, each)]
        return inputs, attributes, 3
    return inputs, attributes


def rotary_embedding():
    b, s, heads, half = size(1, 2), size(1, 5), size(1, 3), size(1, 4)
    each = 2 * half
    x = pick(real(b, s, heads * each), real(b, heads, s, each))
    angles = RNG.uniform(0, 6, (12, half))
    positions = pick(np.array([size(0, 6)], np.int64), RNG.integers(0, 12, (b, s)).astype(np.int64))
    return [x, positions, np.cos(angles).astype(np.float32), np.sin(angles).astype(np.float32)], \
        dict(interleaved=pick(0, 1))


def q_attention():
    b, s, heads, each, d = size(1, 3), size(1, 5), size(1, 3), size(2, 6), size(2, 9)
    past, hidden = pick(0, 0, size(1, 3)), heads * each
    t = code_type()
    weight_zero = pick(None, zero(t))
    if weight_zero is not None and t == np.uint8:
        weight_zero = t(120 + RNG.integers(0, 16))
    inputs = [codes(np.uint8, b, s, d), narrow(t, d, 3 * hidden), real(3 * hidden), scale(), scale(0.001, 0.01),
              padding(b, s, s + past), zero(np.uint8), weight_zero, real(2, b, heads, past, each) if past else None]
    return inputs, dict(num_heads=heads, unidirectional=pick(0, 1)), 2 if past else 1


def group_query_attention():
    kv_heads, group, half = size(1, 2), size(1, 2), 8
    heads, each, b = kv_heads * group, 2 * half, size(1, 3)
    rotary, first, packed = pick(0, 1), pick(True, False), pick(True, False)
    # A step takes one token more than the cache holds; the cache may have room behind its end.
    rows, cache = (size(1, 5), 0) if first else (1, size(1, 6))
    room = 0 if first else pick(0, 2)
    total = rows + cache
    lengths = RNG.integers(0, cache + 1, b).astype(np.int32) if not first else np.full(b, rows - 1, np.int32)
    if not first:
        lengths[0] = cache
    inputs = [real(b, rows, heads * each), real(b, rows, kv_heads * each), real(b, rows, kv_heads * each)]
    if packed:
        inputs = [np.concatenate(inputs, -1), None, None]
    past = [real(b, kv_heads, cache + room, each) for _ in range(2)] if not first else [None, None]
    angles = RNG.uniform(0, 6, (16, half))
    inputs += past + [lengths, np.array(total, np.int32)]
    if rotary:
        inputs += [np.cos(angles).astype(np.float32), np.sin(angles).astype(np.float32)]
    attributes = dict(num_heads=heads, kv_num_heads=kv_heads, do_rotary=rotary, rotary_interleaved=pick(0, 1))
    if pick(True, False):
        attributes["local_window_size"] = size(1, 6)
    if pick(True, False):
        attributes["scale"] = float(RNG.uniform(0.1, 1))
    if pick(True, False):
        attributes["softcap"] = float(RNG.uniform(1, 5))
    if pick(True, False):
        inputs += [None] * (10 - len(inputs)) + [real(pick(1, b), pick(1, heads), rows, total)]
    return inputs, attributes, 3


def matmul_n_bits():
    k, n, bits, block = size(1, 70), size(1, 9), pick(4, 4, 8), pick(16, 32)
    blocks = -(-k // block)
    inputs = [real(2, size(1, 4), k), RNG.integers(0, 256, (n, blocks, block * bits // 8)).astype(np.uint8),
              RNG.uniform(0.005, 0.05, (n, blocks)).astype(np.float32)]
    packed = RNG.integers(0, 256, (n, -(-blocks * bits // 8))).astype(np.uint8)
    inputs += [pick(None, packed, RNG.uniform(0, 15, (n, blocks)).astype(np.float32) if bits == 4 else packed), None,
               pick(None, real(n))]
    return inputs, dict(K=k, N=n, bits=bits, block_size=block)


def dynamic_quantize_lstm():
    both, steps, b, d, h, t = pick(1, 2), size(1, 4), 1, size(2, 8), size(2, 6), code_type()
    per_column = pick(True, False)
    shape = (both, 4 * h) if per_column else (both,)

    def parameters():
        middle = np.full(shape, RNG.integers(120, 136) if t == np.uint8 else 0)  # one for all columns: ONNX Runtime insists
        return [RNG.uniform(0.002, 0.01, shape).astype(np.float32), middle.astype(t)]
    inputs = [real(steps, b, d), narrow(t, both, d, 4 * h), narrow(t, both, h, 4 * h), pick(None, real(both, 8 * h)), None,
              pick(None, real(both, b, h)), pick(None, real(both, b, h)), None] + parameters() + parameters()
    return inputs, dict(hidden_size=h, direction="bidirectional" if both == 2 else "forward"), 3


def q_embed_layer_norm():
    b, s, d = size(1, 3), size(1, 6), size(2, 17)
    ids = RNG.integers(0, 11, (b, s)).astype(np.int32)
    tables = [codes(np.uint8, *shape) for shape in ((11, d), (8, d), (3, d), (d,), (d,))]
    mask = pick(None, (np.arange(s) < RNG.integers(1, s + 1, (b, 1))).astype(np.int32))
    inputs = [ids, RNG.integers(0, 3, (b, s)).astype(np.int32)] + tables + [mask]
    return inputs + [scale() for _ in range(5)] + [zero(np.uint8) for _ in range(5)], dict(epsilon=1e-5), 2


def qlinear_binary():
    t = code_type()
    h, w = size(1, 5), size(1, 9)
    return [codes(t, 2, h, w), scale(), zero(t), codes(t, *pick((2, h, w), (w,), (h, 1))), scale(), zero(t), scale(0.02, 0.1),
            zero(t)], {}


def qlinear_unary(**attributes):
    t = code_type()
    return [codes(t, 2, size(1, 30)), scale(), zero(t), np.float32(1 / 250), zero(t)], attributes


def qlinear_leaky_relu():
    t = code_type()
    return [codes(t, 2, size(1, 30)), scale(), zero(t), scale(), zero(t)], dict(alpha=0.2)


def qlinear_softmax():
    t = code_type()
    # With the usual scale of 1/256 ONNX Runtime lets the code of 1.0 wrap around.
    return [codes(t, 2, size(2, 4), size(2, 9)), scale(), zero(t), np.float32(1 / 250), t(np.iinfo(t).min)], \
        dict(axis=pick(1, 2, -1), opset=13)


def qlinear_average_pool():
    t, last = code_type(), pick(0, 1)
    h, w, pad = size(4, 8), size(4, 8), pick(0, 1)
    return [codes(t, *((2, h, w, 3) if last else (2, 3, h, w))), scale(), zero(t), scale(), zero(t)], \
        dict(channels_last=last, kernel_shape=[3, 2], strides=[size(1, 2), 1], pads=[pad, 0, pad, 0], count_include_pad=pick(0, 1))


def qlinear_global_average_pool():
    t, last = code_type(), pick(0, 1)
    h, w = size(1, 8), size(1, 8)
    return [codes(t, *((2, h, w, 3) if last else (2, 3, h, w))), scale(), zero(t), scale(), zero(t)], dict(channels_last=last)


def qlinear_concat():
    t, axis = code_type(), pick(0, 1, -1)
    inputs = [scale(), zero(t)]
    for _ in range(size(1, 3)):
        shape = [2, 3, 4]
        shape[axis] = size(1, 5)
        inputs += [codes(t, *shape), scale(), zero(t)]
    return inputs, dict(axis=axis)


def qlinear_where():
    t = code_type()
    return [RNG.integers(0, 2, (2, 5)).astype(bool), codes(t, 2, 5), scale(), zero(t), codes(t, 5), scale(), zero(t), scale(), zero(t)], {}


def nhwc_max_pool():
    return [codes(code_type(), 2, size(4, 8), size(4, 8), 3)], dict(kernel_shape=[3, 3], strides=[2, 1], pads=[1, 1, 1, 1])


def qgemm():
    m, k, n, turn = size(1, 6), size(1, 40), size(1, 6), pick(0, 1)
    a, b = pick((np.uint8, np.uint8), (np.uint8, np.int8), (np.int8, np.int8))
    per_column = pick(True, False)
    scales = RNG.uniform(0.001, 0.01, n).astype(np.float32) if per_column else scale(0.001, 0.01)
    zeros = np.full(n, zero(b), b) if per_column else zero(b)
    inputs = [codes(a, m, k), scale(), zero(a), narrow(b, *((n, k) if turn else (k, n))), scales, zeros,
              pick(None, RNG.integers(-500, 500, n).astype(np.int32))]
    if pick(True, False):
        inputs += [scale(0.1, 0.3), zero(a)]
    return inputs, dict(transB=turn, alpha=float(RNG.uniform(0.5, 2)))


def dynamic_quantize_matmul():
    m, k, n, b = size(1, 6), size(1, 40), size(1, 6), code_type()
    return [real(2, m, k), narrow(b, k, n), scale(0.001, 0.01), pick(None, zero(b)), pick(None, real(n))], {}


def matmul_integer_to_float():
    m, k, n, b = size(1, 6), size(1, 40), size(1, 6), code_type()
    per_column = pick(True, False)
    scales = RNG.uniform(0.001, 0.01, n).astype(np.float32) if per_column else scale(0.001, 0.01)
    return [codes(np.uint8, 2, m, k), narrow(b, k, n), scale(), scales, zero(np.uint8), zero(b) if not per_column else np.full(n, zero(b), b),
            pick(None, real(n))], {}


CASES = {
    "FusedConv": fused_conv,
    "Gelu": gelu,
    "QuickGelu": quick_gelu,
    "BiasGelu": bias_gelu,
    "FastGelu": fast_gelu,
    "SkipLayerNormalization": lambda: skip_norm(False),
    "SkipSimplifiedLayerNormalization": lambda: skip_norm(True),
    "EmbedLayerNormalization": embed_layer_norm,
    "FusedMatMul": fused_matmul,
    "FusedGemm": fused_gemm,
    "Attention": attention,
    "MultiHeadAttention": multi_head_attention,
    "RotaryEmbedding": rotary_embedding,
    "QAttention": q_attention,
    "GroupQueryAttention": group_query_attention,
    "MatMulNBits": matmul_n_bits,
    "DynamicQuantizeLSTM": dynamic_quantize_lstm,
    "QEmbedLayerNormalization": q_embed_layer_norm,
    "QLinearAdd": qlinear_binary,
    "QLinearMul": qlinear_binary,
    "QLinearSigmoid": qlinear_unary,
    "QLinearLeakyRelu": qlinear_leaky_relu,
    "QLinearSoftmax": qlinear_softmax,
    "QLinearAveragePool": qlinear_average_pool,
    "QLinearGlobalAveragePool": qlinear_global_average_pool,
    "QLinearConcat": qlinear_concat,
    "QLinearWhere": qlinear_where,
    "NhwcMaxPool": nhwc_max_pool,
    "QGemm": qgemm,
    "DynamicQuantizeMatMul": dynamic_quantize_matmul,
    "MatMulIntegerToFloat": matmul_integer_to_float,
}
# What ONNX Runtime insists on having as initializers, and what it may be given as one.
ALWAYS = {"QLinearConcat": lambda i: i < 2 or i % 3 != 2, "QLinearSigmoid": lambda i: i > 0, "QLinearLeakyRelu": lambda i: i > 0,
          "MatMulNBits": lambda i: i > 0, "DynamicQuantizeLSTM": lambda i: i in (1, 2) or i > 7}
# ONNX Runtime quantizes the activations as it goes; ours stay exact.
LOOSER = {"DynamicQuantizeLSTM": 2e-2}


def build(name, inputs, attributes, outputs, weights):
    """A model of one node; the inputs whose index is in `weights` are initializers."""
    names, graph_inputs, initializers = [], [], []
    for i, value in enumerate(inputs):
        names.append("" if value is None else f"x{i}")
        if value is None:
            continue
        array = np.asarray(value)
        if i in weights:
            initializers.append(numpy_helper.from_array(array, f"x{i}"))
        else:
            graph_inputs.append(helper.make_tensor_value_info(f"x{i}", helper.np_dtype_to_tensor_dtype(array.dtype), array.shape))
    node = helper.make_node(name, names, [f"y{i}" for i in range(outputs)], name="node", domain="com.microsoft", **attributes)
    graph_outputs = [helper.make_empty_tensor_value_info(f"y{i}") for i in range(outputs)]
    graph = helper.make_graph([node], name, graph_inputs, graph_outputs, initializers)
    return helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", 13), helper.make_opsetid("com.microsoft", 1)])


def read_outputs(folder):
    outputs = []
    with open(os.path.join(folder, "outputs.txt"), encoding="utf-8") as lines:
        for i, line in enumerate(lines):
            dtype, *dims = line.split()
            raw = np.fromfile(os.path.join(folder, f"output_{i}.raw"), dtype)
            outputs.append(raw.reshape([int(d) for d in dims]))
    return outputs


def difference(got, want, share):
    """"" when they agree: codes to one step, floats to `share` of the largest."""
    if got.dtype != want.dtype or got.shape != want.shape:
        return f"{got.dtype}{list(got.shape)} instead of {want.dtype}{list(want.shape)}"
    if want.size == 0:
        return ""
    error = np.abs(got.astype(np.float64) - want.astype(np.float64)).max()
    limit = 1 if want.dtype.kind in "iu" else share * max(1.0, float(np.abs(want).max()))
    return "" if error <= limit else f"largest difference {error} over {limit}"


def main(run_values, rounds=6):
    checks = Checks()
    options = ort.SessionOptions()
    options.log_severity_level = 3
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    with tempfile.TemporaryDirectory() as root:
        wanted = {}
        for name, make in CASES.items():
            for turn in range(int(rounds)):
                inputs, attributes, *count = make()
                while inputs[-1] is None:
                    inputs.pop()
                weights = {i for i in range(1, len(inputs)) if turn % 2 and name not in ALWAYS}
                weights |= {i for i in range(len(inputs)) if name in ALWAYS and ALWAYS[name](i)}
                model = build(name, inputs, attributes, count[0] if count else 1, weights)
                folder = os.path.join(root, f"{name}_{turn}")
                os.mkdir(folder)
                onnx.save(model, os.path.join(folder, "model.onnx"))
                given = [(i, np.asarray(value)) for i, value in enumerate(inputs) if value is not None and i not in weights]
                for i, (_, array) in enumerate(given):
                    with open(os.path.join(folder, f"input_{i}.pb"), "wb") as file:
                        file.write(numpy_helper.from_array(array).SerializeToString())
                session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
                wanted[folder] = session.run(None, {f"x{i}": array for i, array in given})
        subprocess.run([run_values, *wanted], check=True, timeout=300)
        for folder, want in wanted.items():
            name, error = os.path.basename(folder), os.path.join(folder, "error.txt")
            if os.path.exists(error):
                with open(error, encoding="utf-8") as text:
                    checks.that(False, f"{name}: {text.read().strip()}")
                continue
            got = read_outputs(folder)
            checks.that(len(got) == len(want), f"{name}: {len(got)} outputs instead of {len(want)}")
            share = LOOSER.get(name.rpartition("_")[0], 1e-4)
            for i, (a, b) in enumerate(zip(got, want)):
                checks.that(not difference(a, b, share), f"{name}: output {i}: {difference(a, b, share)}")
        print(f"{len(CASES)} operators, {len(wanted)} cases")
    return checks.finish()


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
