"""Random cases of operators that work element by element, reduce along axes, or change the type."""
import numpy as np
from onnx import TensorProto, helper

from .draw import FLOATS, INTS, Case, Const

# Domains of the functions that are not defined everywhere.
_RANGES = {"Log": (1e-3, 50), "Sqrt": (0, 50), "Asin": (-1, 1), "Acos": (-1, 1), "Acosh": (1, 20), "Atanh": (-0.99, 0.99),
           "Exp": (-20, 20), "Sinh": (-5, 5), "Cosh": (-5, 5), "Reciprocal": (0.1, 9), "Softplus": (-30, 30), "Tan": (-1.4, 1.4)}
_PLAIN = ["Abs", "Neg", "Sign", "Floor", "Ceil", "Round", "Sqrt", "Exp", "Log", "Erf", "Reciprocal", "Sigmoid", "Tanh", "Relu",
          "Softplus", "Softsign", "Sin", "Cos", "Tan", "Asin", "Acos", "Atan", "Sinh", "Cosh", "Asinh", "Acosh", "Atanh",
          "IsNaN", "IsInf", "Not", "BitwiseNot", "HardSwish", "Mish", "Identity"]
_WITH_ATTRIBUTES = ["LeakyRelu", "Elu", "Selu", "Celu", "HardSigmoid", "ThresholdedRelu", "Shrink", "Gelu", "Clip"]


def _tolerance(dtype):
    return dict(relative=2e-3, absolute=2e-3) if dtype == np.float16 else dict(relative=1e-5, absolute=2e-6)


def _specials(draw, x):
    """Now and then infinities, NaN and zeros of both signs."""
    if x.size and np.issubdtype(x.dtype, np.floating) and draw.flip(0.2):
        for value in (np.inf, -np.inf, np.nan, -0.0, 0.0):
            x.flat[draw.int(0, x.size - 1)] = value
    return x


def unary(draw):
    op = draw.pick(_PLAIN + _WITH_ATTRIBUTES)
    dtype = draw.pick(FLOATS[:1] * 3 + FLOATS)
    opset = draw.opset()
    if op in ("Abs", "Neg", "Sign", "Relu", "Clip", "Identity") and draw.flip():
        dtype = draw.pick([t for t in INTS if op != "Neg" or np.iinfo(t).min < 0])
    if op == "Not":
        dtype = bool
    if op == "BitwiseNot":
        dtype, opset = draw.pick(INTS), draw.int(18, 21)
    if op in ("Mish", "Gelu"):
        opset = draw.int(20, 21)
    low, high = _RANGES.get(op, (-6, 6))
    # Rank 0 and empty tensors, and more elements than one piece of a parallel loop.
    shape = draw.shape(0, 5, zero=0.05) if draw.flip(0.9) else [draw.int(30000, 40000)]
    x = _specials(draw, draw.values(shape, dtype, low, high))
    if op == "Erf":
        x = np.nan_to_num(x)  # ONNX Runtime makes 1 of NaN
    attributes, inputs = {}, [x]
    alpha = draw.maybe(draw.uniform(0.05, 1.5))
    if op in ("LeakyRelu", "Elu", "Celu", "ThresholdedRelu"):
        attributes["alpha"] = alpha
    elif op == "Selu":
        attributes.update(alpha=alpha, gamma=draw.maybe(1.1))
    elif op == "HardSigmoid":
        attributes.update(alpha=alpha, beta=draw.maybe(0.4))
    elif op == "Shrink":
        attributes.update(lambd=draw.maybe(draw.uniform(0, 2)), bias=draw.maybe(draw.uniform(-1, 1)))
    elif op == "Gelu":
        attributes["approximate"] = draw.pick([None, "none", "tanh"])
    elif op == "IsInf":
        attributes.update(detect_negative=draw.maybe(draw.int(0, 1)), detect_positive=draw.maybe(draw.int(0, 1)))
        opset = draw.int(13, 21)
    elif op == "Clip":
        unsigned = np.issubdtype(dtype, np.unsignedinteger)
        bounds = [0, 9] if unsigned else [-2, 2]
        inputs += [draw.constant(np.asarray(bound, dtype)) if draw.flip(0.8) else None for bound in bounds]
    return Case(op, inputs, opset, **_tolerance(dtype), **attributes)


def binary(draw):
    op = draw.pick(["Add", "Sub", "Mul", "Div", "Pow", "Mod", "PRelu", "BitShift", "Min", "Max", "Sum", "Mean"])
    shapes = draw.broadcast(draw.int(1, 4) if op in ("Min", "Max", "Sum", "Mean") else 2)
    if draw.flip(0.1):
        shapes[0] = [3, draw.int(6000, 9000)]
        shapes[1:] = [[3, 1] for _ in shapes[1:]]
    opset, attributes = draw.opset(), {}
    dtype = draw.pick(FLOATS[:1] * 3 + FLOATS + (np.int32, np.int64))
    if op in ("Add", "Sub", "Mul", "Div", "Min", "Max", "Mod") and draw.flip(0.4):
        dtype = draw.pick(INTS)
    if op in ("Sum", "Mean") and np.issubdtype(dtype, np.integer):
        dtype = np.float32
    if op == "BitShift":
        dtype = draw.pick([np.uint8, np.uint32, np.uint64])
        attributes["direction"] = draw.pick(["LEFT", "RIGHT"])
        inputs = [draw.integers(dtype, shapes[0]), draw.ints(shapes[1], 0, np.dtype(dtype).itemsize * 8 - 1, dtype)]
        return Case(op, [draw.constant(value, 0.2) for value in inputs], opset, **attributes)
    if op == "PRelu":
        full = draw.shape(1, 4)
        shapes = [full, [1 if draw.flip(0.4) else d for d in full][draw.int(0, len(full)) if draw.flip(0.3) else 0:]]
    inputs = [draw.values(shape, dtype) for shape in shapes]
    if np.issubdtype(dtype, np.integer) and op not in ("Div", "Mod", "Pow") and draw.flip(0.3):
        inputs = [draw.integers(dtype, shape) for shape in shapes]
    if op in ("Div", "Mod"):
        inputs[1] = np.where(inputs[1] == 0, np.asarray(3, dtype), inputs[1]).astype(dtype)
    if op == "Mod":
        attributes["fmod"] = 1 if np.issubdtype(dtype, np.floating) else draw.maybe(draw.int(0, 1))
    if op == "Pow":
        inputs[0] = np.abs(inputs[0])
        kind = draw.pick([np.float32, np.int32, np.int64, np.float64, dtype])
        inputs[1] = draw.ints(shapes[1], 0, 3).astype(kind) if np.issubdtype(dtype, np.integer) else draw.values(
            shapes[1], kind, -2, 3)
        if np.issubdtype(kind, np.integer):
            inputs[1] = np.clip(inputs[1], 0, 4)
    elif op in ("Add", "Sub", "Mul", "Div", "Min", "Max"):
        inputs = [_specials(draw, value) for value in inputs]
    return Case(op, [draw.constant(value, 0.2) for value in inputs], opset, **_tolerance(dtype), **attributes)


def logic(draw):
    op = draw.pick(["Equal", "Less", "LessOrEqual", "Greater", "GreaterOrEqual", "And", "Or", "Xor", "BitwiseAnd", "BitwiseOr",
                    "BitwiseXor", "Where"])
    shapes = draw.broadcast(3 if op == "Where" else 2)
    opset = draw.opset()
    dtype = draw.pick([np.float32, np.float64, np.int32, np.int64] + list(INTS[:2]))
    if op in ("And", "Or", "Xor"):
        dtype = bool
    elif op.startswith("Bitwise"):
        dtype, opset = draw.pick(INTS), draw.int(18, 21)
    elif op == "Equal":
        dtype = draw.pick([dtype, bool])
    elif op == "Where":
        dtype = draw.pick([np.float32, np.float64, np.int32, np.int64, np.uint8, np.float16])
    inputs = [draw.values(shape, dtype) for shape in shapes]
    if dtype == np.float32 and op != "Where":
        inputs = [np.round(_specials(draw, value)) for value in inputs]
    if op == "Where":
        inputs[0] = draw.values(shapes[0], bool)
    if op.startswith("Bitwise"):
        inputs = [draw.integers(dtype, shape) for shape in shapes]
    return Case(op, [draw.constant(value, 0.2) for value in inputs], opset)


def reduce(draw):
    op = "Reduce" + draw.pick(["Mean", "Sum", "Max", "Min", "Prod", "L1", "L2", "LogSum", "LogSumExp", "SumSquare"])
    opset = draw.opset(11)
    dtype = draw.pick([np.float32] * 4 + [np.float64, np.int32, np.int64])
    if op in ("ReduceMax", "ReduceMin"):
        dtype = draw.pick([dtype, np.int8, np.uint8])
    low = 0.1 if op == "ReduceLogSum" else -2
    large = draw.flip(0.2)
    x = draw.values([draw.int(2, 9), draw.int(100, 900), draw.int(1, 9)] if large else draw.shape(0, 5), dtype, low, 2)
    axes = draw.axes(x.ndim) if x.ndim and draw.flip(0.8) else None
    if op == "ReduceProd" and np.issubdtype(dtype, np.integer):
        x = np.clip(x, -2, 2)
    if np.issubdtype(dtype, np.integer) and op in ("ReduceLogSum", "ReduceLogSumExp", "ReduceL2"):
        x = np.abs(x) // 4 + 1  # sums of logarithms as integers
    options = dict(relative=2e-5, absolute=2e-5, keepdims=draw.pick([None, 0, 1]))
    if opset >= (13 if op == "ReduceSum" else 18):
        if draw.flip(0.15):
            axes = []
        inputs = [x] + ([draw.constant(np.asarray(axes, np.int64), 0.7)] if axes is not None else [])
        return Case(op, inputs, opset, noop_with_empty_axes=draw.maybe(draw.int(0, 1)), **options)
    return Case(op, [x], opset, axes=axes, **options)


def extremes(draw):
    """ArgMax, ArgMin, CumSum, TopK."""
    op = draw.pick(["ArgMax", "ArgMin", "CumSum", "TopK", "TopK"])
    shape = draw.shape(1, 4, 9)
    axis = draw.axis(len(shape))
    dtype = draw.pick([np.float32, np.float32, np.float64, np.int32, np.int64])
    opset = draw.opset()
    x = draw.values(shape, dtype)
    if op.startswith("Arg"):
        if draw.flip():
            x = np.round(x)  # ties
        return Case(op, [x], opset, axis=draw.maybe(axis), keepdims=draw.pick([None, 0, 1]),
                    select_last_index=draw.pick([None, 0, 1]))
    if op == "CumSum":
        kind = draw.pick([np.int32, np.int64])
        return Case(op, [x, draw.constant(np.asarray(axis, kind))], opset, exclusive=draw.pick([None, 0, 1]),
                    reverse=draw.pick([None, 0, 1]), absolute=1e-5)
    if draw.flip(0.3):
        x = np.round(x)
    k = draw.int(1 if draw.flip(0.9) else 0, shape[axis])
    last = draw.maybe(axis) if axis in (-1, len(shape) - 1) else axis
    return Case(op, [x, draw.constant(np.asarray([k], np.int64))], opset, 2, axis=last, largest=draw.pick([None, 0, 1]),
                sorted=draw.pick([None, 1]))


def cast(draw):
    source = draw.pick(FLOATS + INTS + (bool,))
    target = draw.pick(FLOATS + INTS + (bool,))
    # What floats outside of the integer's range become is not defined.
    if source in FLOATS and target in INTS:
        low = 0 if np.iinfo(target).min == 0 else -120
        x = draw.values(draw.shape(0, 4), source, low, 120)
    elif source in INTS and draw.flip():
        x = draw.integers(source, draw.shape(0, 4))
        if target == np.float16:
            x = draw.values(draw.shape(0, 4), source)
    else:
        x = _specials(draw, draw.values(draw.shape(0, 4), source, -70, 70)) if target in FLOATS or target == bool else draw.values(
            draw.shape(0, 4), source)
    code = helper.np_dtype_to_tensor_dtype(np.dtype(target))
    if draw.flip(0.1) and source in FLOATS and target in FLOATS:
        code = TensorProto.BFLOAT16
    if draw.flip(0.2) and code != TensorProto.BFLOAT16:
        return Case("CastLike", [x, draw.values([1], target)], draw.int(15, 21), relative=0, absolute=0)
    return Case("Cast", [x], draw.opset(), relative=0, absolute=0, to=code)


def quantize(draw):
    op = draw.pick(["QuantizeLinear", "QuantizeLinear", "DequantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear"])
    opset = draw.opset(13, 21)
    shape = draw.shape(1, 4)
    if op == "DynamicQuantizeLinear":
        return Case(op, [draw.values(draw.shape(0, 4), low=draw.uniform(-5, 1), high=draw.uniform(1.5, 6))], opset, 3, steps=1)
    codes = [np.int8, np.uint8] + ([np.int16, np.uint16] if opset >= 21 else [])
    dtype = draw.pick(codes + ([np.int32] if op == "DequantizeLinear" else []))
    axis = draw.axis(len(shape))
    form = draw.pick(["tensor", "tensor", "axis", "blocked" if opset >= 21 else "axis"])
    parameters, attributes = [], {}
    if form == "axis":
        parameters, attributes["axis"] = [shape[axis]], axis
    elif form == "blocked":
        block = draw.int(1, shape[axis])
        shape[axis] = shape[axis] // block * block
        parameters = list(shape)
        parameters[axis] = shape[axis] // block
        attributes.update(axis=axis, block_size=block)
    elif draw.flip(0.2):
        parameters = [1]
    scale = draw.constant(draw.values(parameters, np.float32, 0.01, 0.3))
    zero = None
    if draw.flip(0.7) or (dtype != np.uint8 and op == "QuantizeLinear"):
        zero = draw.constant(np.zeros(parameters, dtype) if dtype == np.int32 else draw.integers(dtype, parameters))
    if op == "QuantizeLinear":
        x = draw.values(shape, np.float32, -40, 40)
        if draw.flip(0.3):  # ties
            value = np.asarray(0.125, np.float32)
            scale, x = Const(np.broadcast_to(value, parameters).copy()), np.round(x * 16) / np.float32(16)
        return Case(op, [x, scale, zero], opset, **attributes)
    x = draw.ints(shape, -100000, 100000, np.int32) if dtype == np.int32 else draw.integers(dtype, shape)
    return Case(op, [x, scale, zero], opset, relative=1e-6, absolute=0, **attributes)


def integer_conv(draw):
    """QLinearConv, ConvInteger and QLinearMatMul."""
    op = draw.pick(["QLinearConv", "ConvInteger", "QLinearMatMul"])
    dtype = draw.pick([np.uint8, np.int8])
    other = np.int8 if dtype == np.int8 else draw.pick([np.uint8, np.int8])

    def scale(shape=(), low=0.01, high=0.05):
        return Const(draw.values(list(shape), np.float32, low, high))

    def zero(kind, shape=()):
        return Const(draw.ints(list(shape), -5, 5, kind) if kind == np.int8 else draw.ints(list(shape), 120, 136, kind))
    if op == "QLinearMatMul":
        m, n, k = draw.int(1, 9), draw.int(1, 9), draw.int(1, 30)
        lead = draw.shape(0, 2, 3)
        columns = [n] if draw.flip() else []
        return Case(op, [draw.integers(dtype, [*lead, m, k]), scale(), zero(dtype), draw.constant(draw.seven_bits(other, [k, n])),
                         scale(columns), zero(other, columns), scale((), 0.05, 0.2), zero(dtype)], draw.opset(13, 20), steps=1)
    group = draw.pick([1, 1, 2, 3])
    channels, outputs = group * draw.int(1, 3), group * draw.int(1, 4)
    kernels = [draw.int(1, 3), draw.int(1, 3)]
    dilations, strides = [draw.int(1, 2), draw.int(1, 2)], [draw.int(1, 2), draw.int(1, 2)]
    size = [draw.int(1, 2), channels] + [(k - 1) * d + 1 + draw.int(0, 5) for k, d in zip(kernels, dilations)]
    x = draw.seven_bits(dtype, size) if op == "ConvInteger" and dtype == np.int8 else draw.integers(dtype, size)
    attributes = dict(group=group, strides=strides, dilations=dilations, kernel_shape=draw.maybe(kernels),
                      pads=draw.maybe([draw.int(0, 1) for _ in range(4)]))
    if op == "ConvInteger":
        w = draw.seven_bits(np.uint8, [outputs, channels // group, *kernels])
        inputs = [x, draw.constant(w)]
        if draw.flip(0.7):
            inputs += [zero(dtype)] + ([zero(np.uint8)] if draw.flip() else [])
        return Case(op, inputs, draw.opset(), **attributes)
    w = draw.seven_bits(other, [outputs, channels // group, *kernels])
    rows = [outputs] if draw.flip() else []
    weight_zero = Const(np.zeros(rows, other)) if other == np.int8 else zero(other)
    bias = Const(draw.ints([outputs], -3000, 3000, np.int32)) if draw.flip() else None
    return Case(op, [x, scale(), zero(dtype), Const(w), scale(rows), weight_zero, scale((), 0.05, 0.3), zero(dtype), bias],
                draw.opset(), steps=1, **attributes)


FAMILIES = {f.__name__: f for f in (unary, binary, logic, reduce, extremes, cast, quantize, integer_conv)}
