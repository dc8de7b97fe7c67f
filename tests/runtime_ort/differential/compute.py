"""Random cases of the operators that multiply and add: convolution, products, pools, norms, recurrent nets."""
import numpy as np

from .draw import Case, Const


def _floats(draw):
    """Float types that ONNX Runtime's heavy kernels know, and the tolerance of sums in them."""
    return draw.pick([np.float32] * 4 + [np.float64])


def _spatial(draw, kernels, strides, dilations, least=0):
    """Sizes that hold at least one window."""
    return [max((k - 1) * d + 1, least) + draw.int(0, 3 * s + 3) for k, s, d in zip(kernels, strides, dilations)]


def _window(draw, rank, transposed=False):
    kernels = [draw.pick([1, 2, 3, draw.int(1, 5)]) for _ in range(rank)]
    strides = [draw.pick([1, 1, 2, 3]) for _ in range(rank)]
    dilations = [draw.pick([1, 1, 2, 3]) for _ in range(rank)]
    auto_pad = draw.pick([None, None, "NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER"])
    pads = None
    if auto_pad in (None, "NOTSET") and draw.flip(0.7):
        pads = [draw.int(0, (kernels[i % rank] - 1) * dilations[i % rank] // (1 if not transposed else 2))
                for i in range(2 * rank)]
    if auto_pad in ("SAME_UPPER", "SAME_LOWER"):
        dilations = [1] * rank  # ONNX Runtime refuses others
    return kernels, strides, dilations, auto_pad, pads


def conv(draw):
    rank, group = draw.pick([1, 2, 2, 2, 3]), draw.pick([1, 1, 2, 3, 4])
    kernels, strides, dilations, auto_pad, pads = _window(draw, rank)
    channels = group * draw.pick([1, 1, 2, 3, 5])
    outputs = group * draw.pick([1, 2, 3, 17])
    if rank < 3 and draw.flip(0.1):
        kernels[draw.int(0, rank - 1)] = draw.pick([40, 70, 300])
    size = _spatial(draw, kernels, strides, dilations)
    if rank > 1 and draw.flip(0.2):  # a signal, or an image as a volume
        still = draw.int(0, rank - 1)
        kernels[still] = size[still] = 1
        if pads:
            pads[still] = pads[rank + still] = 0
    x = draw.values([draw.int(1, 2), channels, *size])
    w = draw.values([outputs, channels // group, *kernels])
    bias = draw.values([outputs]) if draw.flip() else None
    return Case("Conv", [x, draw.constant(w), draw.constant(bias)], draw.opset(11), relative=1e-5, scaled=True,
                group=draw.maybe(group) if group == 1 else group, strides=strides, dilations=dilations, auto_pad=auto_pad,
                pads=pads, kernel_shape=draw.maybe(kernels))


def conv_transpose(draw):
    rank, group = draw.pick([1, 2, 2, 3]), draw.pick([1, 1, 2, 3])
    kernels, strides, dilations, auto_pad, pads = _window(draw, rank, transposed=True)
    channels, outputs = group * draw.int(1, 4), draw.int(1, 4)
    size = [draw.int(1, 6) for _ in range(rank)]
    if rank > 1 and draw.flip(0.2):
        still = draw.int(0, rank - 1)
        kernels[still] = size[still] = strides[still] = 1
        if pads:
            pads[still] = pads[rank + still] = 0
    output_padding = [draw.int(0, s - 1) for s in strides] if draw.flip(0.3) else None
    # With output_padding of the stride or more ONNX Runtime's sums are wrong.
    output_shape = None
    if draw.flip(0.2):
        output_padding, pads = None, None
        output_shape = [max((n - 1) * s + (k - 1) * d + 1 - draw.int(0, 2), 1)
                        for n, s, k, d in zip(size, strides, kernels, dilations)]
    elif auto_pad in ("SAME_UPPER", "SAME_LOWER"):
        output_padding = None
    x = draw.values([draw.int(1, 2), channels, *size])
    w = draw.values([channels, outputs, *kernels])
    bias = draw.values([outputs * group]) if draw.flip() else None
    return Case("ConvTranspose", [x, draw.constant(w), draw.constant(bias)], draw.opset(11), relative=1e-5, scaled=True,
                group=group, strides=strides, dilations=dilations, auto_pad=auto_pad, pads=pads,
                output_padding=output_padding, output_shape=output_shape, kernel_shape=draw.maybe(kernels))


def gemm(draw):
    m, n, k = draw.int(1, 40), draw.int(1, 40), draw.int(1, 60)
    dtype = _floats(draw)
    left, right = draw.int(0, 1), draw.int(0, 1)
    a, b = draw.values([k, m] if left else [m, k], dtype), draw.values([n, k] if right else [k, n], dtype)
    c = draw.pick([None, [], [1], [n], [1, n], [m, 1], [m, n], [1, 1]])
    c = None if c is None else draw.values(c, dtype)
    return Case("Gemm", [a, draw.constant(b), draw.constant(c)], draw.opset(11), relative=1e-5, scaled=True,
                transA=draw.maybe(left) if not left else left, transB=right, alpha=draw.maybe(draw.uniform(-2, 2)),
                beta=draw.maybe(draw.uniform(-2, 2)))


def matmul(draw):
    dtype = draw.pick([np.float32] * 5 + [np.float64, np.int32, np.int64, np.uint32, np.uint64])
    lead = draw.broadcast(2, 3, 4)
    m, n, k = draw.int(1, 20), draw.int(1, 40), draw.int(1, 40)
    a, b = [*lead[0], m, k], [*lead[1], k, n]
    if draw.flip(0.15):
        a = [k]
    if draw.flip(0.15):
        b = [k]
    a, b = draw.values(a, dtype), draw.values(b, dtype)
    return Case("MatMul", [draw.constant(a, 0.1), draw.constant(b)] if draw.flip(0.7) else [a, b], draw.opset(),
                relative=1e-5, scaled=True)


def matmul_integer(draw):
    lead = draw.shape(0, 2, 3)
    m, n, k = draw.int(1, 10), draw.int(1, 10), draw.int(1, 40)
    left, right = draw.pick([np.uint8, np.int8]), draw.pick([np.uint8, np.int8])
    if left == np.int8:
        right = np.int8  # ONNX Runtime has no kernel for int8 by uint8
    inputs = [draw.integers(left, [*lead, m, k]), draw.constant(draw.seven_bits(right, [k, n]))]
    if draw.flip(0.7):
        inputs.append(draw.constant(draw.integers(left, draw.pick([[], [1]]))))
        if draw.flip(0.7):
            inputs.append(draw.constant(draw.integers(right, draw.pick([[], [n]]))))
    return Case("MatMulInteger", inputs, draw.opset())


def einsum(draw):
    sizes = {letter: draw.int(1, 5) for letter in "abcdefij"}
    equation = draw.pick([
        "ij,jk->ik", "ij,kj->ik", "ij->ji", "ij->", "ij->i", "ij->j", "ii->i", "ii->", "bij,bjk->bik", "bij,bkj->bik",
        "bhqd,bhkd->bhqk", "bhqk,bhkd->bhqd", "i,j->ij", "ij,ij->", "ij,ij->ij", "abc,c->ab", "abc,cd->abd",
        "abcd,cde->abe", "ab,bc,cd->ad", "...ij,...jk->...ik", "...ij->...ji", "i...->...", "ij,jk", "ba", "bhwc,hkc->bhwk",
        "abc,abd->acd", "ab,cd->acbd", "iij->j", " b i j , b j k -> b i k ", "a...,a...->...", "abc->cab"])
    for letter in "abcdefghijklmnopqrstuvwxyz":
        sizes.setdefault(letter, draw.int(1, 5))
    extra = draw.shape(0, 2, 3)
    dtype = draw.pick([np.float32] * 4 + [np.float64, np.int32, np.int64])
    inputs = []
    for term in equation.replace(" ", "").split("->")[0].split(","):
        shape = []
        for part in term.replace("...", "."):
            shape += extra if part == "." else [sizes[part]]
        inputs.append(draw.constant(draw.values(shape, dtype), 0.2))
    return Case("Einsum", inputs, draw.opset(), relative=1e-5, scaled=True, equation=equation)


def pool(draw):
    op = draw.pick(["MaxPool", "MaxPool", "AveragePool", "AveragePool", "LpPool", "GlobalMaxPool", "GlobalAveragePool",
                    "GlobalLpPool"])
    opset = draw.opset(11, 22)
    rank = draw.pick([1, 2, 2, 2, 3])
    if op.startswith("Global"):
        x = draw.values([draw.int(1, 3), draw.int(1, 4), *draw.shape(rank, rank)])
        return Case(op, [x], opset, p=draw.maybe(draw.int(1, 3)) if op == "GlobalLpPool" else None)
    kernels, strides, dilations, auto_pad, pads = _window(draw, rank)
    if pads:
        pads = [min(pad, kernels[i % rank] - 1) for i, pad in enumerate(pads)]
    attributes = {}
    if op == "MaxPool" or (op == "AveragePool" and opset >= 19) or (op == "LpPool" and opset >= 18):
        attributes["dilations"] = dilations
    else:
        dilations = [1] * rank
    if op != "LpPool" or opset >= 18:
        attributes["ceil_mode"] = draw.pick([None, 0, 1])
    if op == "AveragePool":
        attributes["count_include_pad"] = draw.pick([None, 0, 1])
        if opset < 19 and attributes["ceil_mode"]:  # ONNX Runtime divides by places beyond the padding, too
            attributes["count_include_pad"] = 0
    if op == "LpPool":
        attributes["p"] = draw.maybe(draw.int(1, 3))
    outputs = 1
    if op == "MaxPool":
        if draw.flip(0.3):
            outputs, attributes["storage_order"] = 2, draw.maybe(draw.int(0, 1))
    dtype = draw.pick([np.float32] * 4 + [np.float64] + ([np.int8, np.uint8] if op == "MaxPool" else []))
    x = draw.values([draw.int(1, 2), draw.int(1, 3), *_spatial(draw, kernels, strides, dilations)], dtype)
    return Case(op, [x], opset, outputs, kernel_shape=kernels, strides=draw.maybe(strides, 0.8), pads=pads,
                auto_pad=auto_pad, **attributes)


def norm(draw):
    op = draw.pick(["BatchNormalization", "InstanceNormalization", "GroupNormalization", "LayerNormalization",
                    "LayerNormalization", "LRN", "LpNormalization", "MeanVarianceNormalization", "RMSNormalization",
                    "SkipLayerNormalization"])
    channels = draw.int(1, 6)
    x = draw.values([draw.int(1, 3), channels, *draw.shape(1, 3, 5)])
    dtype = np.float32
    opset, options = draw.opset(), dict(relative=2e-5, absolute=1e-5)
    epsilon = draw.maybe(draw.pick([1e-5, 1e-3, 0.1]))

    def vector(low=-2.0):
        return draw.constant(draw.values([channels], dtype, low, 2.0))
    if op == "BatchNormalization":
        return Case(op, [x, vector(), vector(), vector(), vector(0.1)], opset, epsilon=epsilon, **options)
    if op == "InstanceNormalization":
        return Case(op, [x, vector(), vector()], opset, epsilon=epsilon, relative=1e-4, absolute=1e-4)
    if op == "GroupNormalization":
        groups = draw.pick([g for g in range(1, channels + 1) if channels % g == 0])
        return Case(op, [x, vector(), vector()], draw.int(21, 22), num_groups=groups, epsilon=epsilon, relative=1e-4,
                    absolute=1e-4)
    if op == "LayerNormalization":
        # Of very few elements the variance may be mostly rounding.
        x = draw.values([*draw.shape(0, 3), draw.int(8, 40)])
        axis = draw.axis(x.ndim)
        shape = x.shape[axis:]
        gamma, beta = draw.values(shape), draw.values(shape) if draw.flip(0.7) else None
        return Case(op, [x, draw.constant(gamma), draw.constant(beta)], draw.int(17, 21), draw.pick([1, 1, 3]),
                    axis=axis, epsilon=epsilon, relative=1e-4, absolute=1e-4)
    if op == "LRN":
        x = draw.values([draw.int(1, 3), channels, draw.int(1, 4), draw.int(1, 4)])
        return Case(op, [x], opset, size=draw.pick([1, 3, 5, 7]), alpha=draw.maybe(0.02), beta=draw.maybe(0.5),
                    bias=draw.maybe(1.5), **options)
    if op == "LpNormalization":
        return Case(op, [x], opset, axis=draw.maybe(draw.axis(x.ndim)), p=draw.maybe(draw.int(1, 2)), **options)
    if op == "MeanVarianceNormalization":
        x = draw.values([2, channels, 3, 4])
        return Case(op, [x], opset, axes=draw.maybe(draw.pick([[0, 2, 3], [2, 3], [1], [3], [0, 1, 2, 3]])),
                    relative=1e-4, absolute=1e-4)
    if op == "RMSNormalization":
        axis = draw.axis(x.ndim)
        return Case(op, [x, draw.constant(draw.values(x.shape[axis:]))], 23, axis=axis, epsilon=epsilon, **options)
    x = draw.values([draw.int(1, 3), draw.int(1, 4), 8])
    weights = [draw.constant(draw.values([8])) for _ in range(3)]
    return Case(op, [x, draw.values(x.shape), weights[0]] + weights[1:draw.int(1, 3)], opset, domain="com.microsoft",
                epsilon=epsilon, relative=1e-4, absolute=1e-4)


def softmax(draw):
    op = draw.pick(["Softmax", "LogSoftmax", "Hardmax"])
    x = draw.values(draw.shape(1, 5), draw.pick([np.float32, np.float32, np.float64]) if op != "Hardmax" else np.float32,
                    -20, 20)
    return Case(op, [x], draw.opset(11), relative=1e-5, absolute=1e-6,
                axis=draw.maybe(draw.axis(x.ndim), 0.8))


def recurrent(draw):
    op = draw.pick(["LSTM", "GRU", "RNN"])
    gates = {"LSTM": 4, "GRU": 3, "RNN": 1}[op]
    direction = draw.pick([None, "forward", "reverse", "bidirectional"])
    directions = 2 if direction == "bidirectional" else 1
    steps, batch, width, hidden = draw.int(1, 6), draw.int(1, 4), draw.int(1, 7), draw.int(1, 9)
    layout = draw.maybe(0)

    def weights(*shape):
        # Small, so that nets of unbounded activations do not grow beyond comparing.
        return draw.constant(draw.values([directions, *shape], low=-0.4, high=0.4))
    x = draw.values([steps, batch, width])
    inputs = [x, weights(gates * hidden, width), weights(gates * hidden, hidden)]
    optional = [weights(2 * gates * hidden),
                draw.constant(draw.ints([batch], 1, steps, np.int32)),
                draw.values([directions, batch, hidden])]
    if op == "LSTM":
        optional += [draw.values([directions, batch, hidden]), weights(3 * hidden)]
    inputs += [value if draw.flip() else None for value in optional]
    activations, alphas, betas = None, None, None
    if draw.flip(0.4):
        # Softplus is left out: ONNX Runtime's overflows. So are default alphas, which it does not take from the
        # operators of the same name, and alphas of RNN, which it counts differently.
        known = ["Relu", "Tanh", "Sigmoid", "Softsign"] + (["HardSigmoid", "LeakyRelu", "Elu"] if op != "RNN" else [])
        activations = [draw.pick(known) for _ in range(directions * {"LSTM": 3, "GRU": 2, "RNN": 1}[op])]
        alphas = [draw.uniform(0.01, 0.5) for name in activations if name in ("HardSigmoid", "LeakyRelu", "Elu")] or None
        betas = [draw.uniform(0.1, 0.9) for name in activations if name == "HardSigmoid"] or None
    outputs = 3 if op == "LSTM" else 2
    return Case(op, inputs, draw.opset(14), draw.pick([outputs, 1, [1], [outputs - 1], outputs]), relative=2e-5,
                absolute=2e-5, hidden_size=hidden, direction=direction, layout=layout, activations=activations,
                activation_alpha=alphas, activation_beta=betas,
                clip=draw.maybe(draw.uniform(0.5, 3.0), 0.2),
                linear_before_reset=draw.maybe(draw.int(0, 1)) if op == "GRU" else None,
                input_forget=draw.maybe(draw.int(0, 1), 0.3) if op == "LSTM" else None)


def resize(draw):
    opset = draw.opset(11, 21)
    mode = draw.pick(["nearest", "nearest", "linear", "linear", "cubic"])
    rank = 4 if mode == "cubic" else draw.pick([3, 4, 4, 5])
    size = [draw.int(1, 2), draw.int(1, 2)] + [draw.int(1, 7) for _ in range(rank - 2)]
    if mode == "cubic":
        size[2:] = [draw.int(2, 7), draw.int(2, 7)]
    coordinate = draw.pick(["half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric", "tf_crop_and_resize",
                            None] + (["half_pixel_symmetric"] if opset >= 19 else []))
    scales = [1.0, 1.0] + [draw.pick([0.5, 2.0, 1.0, 3.0, draw.uniform(0.4, 3.5)]) for _ in range(rank - 2)]
    # A length that is whole but for rounding would make the two runtimes disagree about the size.
    scales = [s if abs(n * s - round(n * s)) > 1e-3 or n * np.float32(s) == round(n * s) else 2.0 for n, s in zip(size, scales)]
    scales = [s if int(n * s) >= 1 else 2.0 for n, s in zip(size, scales)]
    sizes = size[:2] + [draw.int(1, 12) for _ in range(rank - 2)]
    attributes = dict(mode=mode, coordinate_transformation_mode=coordinate)
    if mode == "nearest":
        attributes["nearest_mode"] = draw.pick([None, "round_prefer_floor", "round_prefer_ceil", "floor", "ceil"])
    if mode == "cubic":
        attributes["cubic_coeff_a"] = draw.pick([None, -0.5, -0.75])
        attributes["exclude_outside"] = draw.pick([None, 0, 1])
    if opset >= 18 and mode != "nearest" and draw.flip(0.4) and coordinate != "tf_crop_and_resize":
        attributes["antialias"] = 1
        attributes["exclude_outside"] = draw.pick([None, 0, 1])
    roi = None
    if coordinate == "tf_crop_and_resize":
        starts = [draw.uniform(0, 0.4) for _ in range(rank)]
        ends = [draw.uniform(0.5, 1.2) for _ in range(rank)]
        for i, (old, new, scale) in enumerate(zip(size, sizes, scales)):
            if i < 2 or old == new or scale == 1:  # there ONNX Runtime skips the region
                starts[i], ends[i] = 0.0, 1.0
        roi = Const(starts + ends, np.float32)
        attributes["extrapolation_value"] = draw.maybe(draw.uniform(-5, 5))
    x = draw.values(size, draw.pick([np.float32] * 4 + ([np.uint8, np.int8] if mode == "nearest" else [])))
    if roi is None and opset < 13:
        roi = Const([], np.float32)
    by_sizes = draw.flip(0.4)
    if by_sizes and opset >= 18 and mode != "cubic" and draw.flip(0.4) and coordinate != "tf_crop_and_resize":
        attributes["axes"] = list(range(2, rank))
        sizes = sizes[2:]
        attributes["keep_aspect_ratio_policy"] = draw.pick([None, "stretch", "not_larger", "not_smaller"])
    inputs = [x, roi, None, Const(sizes, np.int64)] if by_sizes else [x, roi, Const(scales, np.float32)]
    if by_sizes and opset < 13:
        inputs[2] = Const([], np.float32)
    return Case("Resize", inputs, opset, relative=1e-4, absolute=1e-4, **attributes)


def fused(draw):
    """What the executor runs as one step: a clamp behind Conv or Gemm, QuantizeLinear and DequantizeLinear as a pair."""
    if draw.flip(0.4):
        dtype = draw.pick([np.int8, np.uint8])
        zero = draw.ints([], -9, 9, dtype) if dtype == np.int8 else draw.ints([], 110, 140, dtype)
        parameters = [np.float32(draw.uniform(0.01, 0.2)), zero]
        inputs = [draw.values(draw.shape(1, 4), low=-30, high=30)] + [Const(value) for value in parameters]
        return Case("QuantizeLinear", inputs, draw.opset(), then=[("DequantizeLinear", parameters, {})])
    case = draw.pick([conv, gemm])(draw)
    low, high = sorted([draw.uniform(-3, 3), draw.uniform(-3, 3)])
    bounds = [np.float32(low) if draw.flip(0.7) else None, np.float32(high) if draw.flip(0.7) else None]
    case.then = draw.pick([[("Relu", [], {})], [("Clip", bounds, {})], [("Clip", bounds, {}), ("Relu", [], {})],
                           [("Sigmoid", [], {})]])
    case.opset = max(case.opset, 12)
    if case.inputs[0].dtype != np.float32:
        case.then = []
    # The sums before the clamp are far larger than what is left of them.
    case.relative, case.absolute = 2e-5, 2e-4
    return case


def attention(draw):
    """Attention and RotaryEmbedding of opset 23."""
    batch, heads, rows, columns, width = draw.int(1, 2), draw.pick([2, 4]), draw.int(1, 6), draw.int(1, 8), draw.pick([4, 8])
    if draw.flip(0.3):
        half = width // 2
        x = draw.values([batch, heads, rows, width])
        cos = draw.values([batch, rows, half])
        positions = None
        if draw.flip():
            cos, positions = draw.values([10, half]), draw.ints([batch, rows], 0, 9)
        inputs = [x, cos, draw.values(cos.shape), positions]
        return Case("RotaryEmbedding", inputs, 23, interleaved=draw.maybe(draw.int(0, 1)))
    kv_heads = draw.pick([heads, heads // 2])
    shapes = [[batch, heads, rows, width], [batch, kv_heads, columns, width], [batch, kv_heads, columns, width]]
    attributes = {}
    if draw.flip():
        shapes = [[s[0], s[2], s[1] * s[3]] for s in shapes]
        attributes = dict(q_num_heads=heads, kv_num_heads=kv_heads)
    inputs = [draw.values(shape, low=-1, high=1) for shape in shapes]
    # One query ONNX Runtime takes for a step of decoding that sees all keys.
    causal = draw.maybe(draw.int(0, 1), 0.3) if rows > 1 else None
    if draw.flip(0.4):
        inputs.append(draw.values([rows, columns]) if draw.flip() else draw.values([rows, columns], bool))
        if inputs[-1].dtype == bool:
            inputs[-1][:, 0] = True
    # softcap turns -inf into a number: masked keys come back, literally by the text of opset 23; ours stay masked.
    masked = causal or any(value.dtype == bool for value in inputs)
    return Case("Attention", inputs, 23, relative=1e-4, absolute=1e-5, is_causal=causal,
                scale=draw.maybe(draw.uniform(0.1, 1)), softcap=None if masked else draw.maybe(draw.uniform(1, 5), 0.3),
                **attributes)


FAMILIES = {f.__name__: f for f in (conv, conv_transpose, gemm, matmul, matmul_integer, einsum, pool, norm, softmax, recurrent,
                                    resize, fused, attention)}
