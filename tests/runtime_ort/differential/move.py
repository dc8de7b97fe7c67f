"""Random cases of operators that move elements about, make shapes, and of detection networks."""
import numpy as np
from onnx import numpy_helper

from .draw import Case, Const

_TYPES = [np.float32] * 4 + [np.int64, np.int32, np.uint8, bool, np.float64, np.float16, np.int8]


def _array(draw, shape):
    return draw.values(shape, draw.pick(_TYPES))


def reshape(draw):
    op = draw.pick(["Reshape", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Transpose", "Expand", "Tile"])
    opset = draw.opset()
    shape = draw.shape(1, 5, 6, zero=0.05)
    x = _array(draw, shape)
    if op == "Reshape":
        target, rest = [], list(draw.rng.permutation(shape))
        while rest:
            joined = int(np.prod(rest[:draw.int(1, 2)]))
            target.append(joined)
            rest = rest[1 if joined == rest[0] and len(rest) > 0 else 2:]
        target = [int(d) for d in np.asarray(target)] if int(np.prod(target)) == x.size else [x.size]
        attributes = {}
        if 0 not in shape:
            for i, dim in enumerate(target):
                if i < len(shape) and shape[i] == dim and draw.flip(0.3):
                    target[i] = 0
            if draw.flip() and target:
                target[draw.int(0, len(target) - 1)] = -1
        elif opset >= 14:
            attributes["allowzero"] = 1
        return Case(op, [x, draw.constant(np.asarray(target, np.int64))], opset, **attributes)
    if op == "Flatten":
        return Case(op, [x], opset, axis=draw.maybe(draw.int(-len(shape), len(shape))))
    if op == "Squeeze":
        ones = [i for i, d in enumerate(shape) if d == 1]
        if not ones or draw.flip(0.2):
            return Case(op, [x], opset)
        axes = [int(a) - (len(shape) if draw.flip() else 0) for a in draw.rng.permutation(ones)[:draw.int(1, len(ones))]]
        return Case(op, [x, draw.constant(np.asarray(axes, np.int64))], opset)
    if op == "Unsqueeze":
        count = draw.int(1, 2)
        rank = len(shape) + count
        axes = [int(a) - (rank if draw.flip() else 0) for a in draw.rng.permutation(rank)[:count]]
        return Case(op, [x, draw.constant(np.asarray(axes, np.int64))], opset)
    if op == "Transpose":
        return Case(op, [x], opset, perm=draw.maybe([int(a) for a in draw.rng.permutation(len(shape))], 0.8))
    if op == "Expand":
        shapes = draw.broadcast(2)
        return Case(op, [_array(draw, shapes[0]), draw.constant(np.asarray(shapes[1], np.int64))], opset)
    return Case(op, [x, draw.constant(draw.ints([len(shape)], 0 if draw.flip(0.1) else 1, 3))], opset)


def slicing(draw):
    """Slice, Pad, Concat, Split, Trilu, Compress, CenterCropPad."""
    op = draw.pick(["Slice", "Slice", "Pad", "Pad", "Concat", "Split", "Trilu", "Compress", "CenterCropPad"])
    opset = draw.opset()
    shape = draw.shape(1, 4, 8)
    rank, x = len(shape), _array(draw, shape)
    axis = draw.axis(rank)
    if op == "Slice":
        axes = draw.axes(rank)
        kind = draw.pick([np.int64, np.int64, np.int32])
        whole = draw.flip(0.15)
        steps = [draw.pick([1, 1, 2, 3, -1, -2]) for _ in axes]
        starts = [draw.pick([draw.int(-10, 10), 0, -1]) for _ in axes]
        ends = [draw.pick([draw.int(-10, 10), np.iinfo(np.int32).max if step > 0 else np.iinfo(np.int32).min])
                for step in steps]
        inputs = [np.asarray(value, kind) for value in (starts, ends, axes, steps)]
        if whole:
            inputs = [np.asarray([draw.int(-9, 9) for _ in shape], kind) for _ in range(2)]
        elif draw.flip(0.2):
            inputs = inputs[:3]
        return Case(op, [x] + [draw.constant(value, 0.8) for value in inputs], opset)
    if op == "Pad":
        mode = draw.pick(["constant", "constant", "reflect", "edge"] + (["wrap"] if opset >= 19 else []))
        x = draw.values(shape, draw.pick([np.float32, np.float32, np.int64, np.int32, np.uint8, np.float64]))
        axes = draw.axes(rank) if opset >= 18 and draw.flip(0.3) else None
        dims = [shape[a] for a in axes] if axes is not None else shape
        most = [max(min(d - 1, 4), 0) if mode == "reflect" else d if mode == "wrap" else 4 for d in dims]
        low = -2 if mode == "constant" and draw.flip(0.3) else 0
        pads = np.asarray([draw.int(max(low, -(d // 2)), m) for d, m in list(zip(dims, most)) * 2], np.int64)
        value = np.asarray(draw.int(0, 9), x.dtype) if mode == "constant" and draw.flip(0.7) else None
        inputs = [x, draw.constant(pads, 0.8), draw.constant(value)]
        if axes is not None:
            inputs.append(Const(axes, draw.pick([np.int64, np.int32])))
        return Case(op, inputs, opset, mode=draw.maybe(mode) if mode == "constant" else mode)
    if op == "Concat":
        parts = []
        for _ in range(draw.int(1, 4)):
            part = list(shape)
            part[axis] = draw.int(0 if draw.flip(0.2) else 1, 4)
            parts.append(draw.constant(draw.values(part, x.dtype.type if x.dtype != bool else bool), 0.2))
        return Case(op, parts, opset, axis=axis)
    if op == "Split":
        count = draw.int(1, shape[axis])
        cuts = sorted(draw.int(0, shape[axis]) for _ in range(count - 1))
        sizes = np.diff([0, *cuts, shape[axis]])
        axis_attribute = draw.maybe(axis) if axis in (0, -rank) else axis
        if draw.flip(0.6):
            return Case(op, [x, draw.constant(np.asarray(sizes, np.int64))], opset, count, axis=axis_attribute)
        if opset >= 18:
            return Case(op, [x], opset, count, axis=axis_attribute, num_outputs=count)
        count = draw.pick([c for c in range(1, shape[axis] + 1) if shape[axis] % c == 0])
        return Case(op, [x], opset, count, axis=axis_attribute)
    if op == "Trilu":
        x = draw.values(draw.shape(2, 4, 7), draw.pick([np.float32, np.int64, np.float64, bool]))
        k = draw.constant(np.asarray(draw.int(-8, 8), np.int64)) if draw.flip(0.7) else None
        return Case(op, [x, k], draw.int(14, 21), upper=draw.pick([None, 0, 1]))
    if op == "Compress":
        flat = draw.flip(0.3)
        length = x.size if flat else shape[axis]
        condition = draw.values([draw.int(1, length)], bool)
        return Case(op, [x, draw.constant(condition)], opset, axis=None if flat else axis)
    axes = draw.axes(rank)
    return Case(op, [x, draw.constant(draw.ints([len(axes)], 1, 10))], draw.int(18, 21), axes=axes)


def gather(draw):
    op = draw.pick(["Gather", "Gather", "GatherElements", "GatherND"])
    opset = draw.opset()
    shape = draw.shape(1, 4, 6)
    rank, x = len(shape), _array(draw, shape)
    axis = draw.axis(rank)
    kind = draw.pick([np.int64, np.int32])
    if op == "Gather":
        indices = draw.ints(draw.shape(0, 3, 4, zero=0.05), -shape[axis], shape[axis] - 1, kind)
        return Case(op, [x, draw.constant(indices)], opset, axis=draw.maybe(axis) if axis in (0, -rank) else axis)
    if op == "GatherElements":
        size = [draw.int(1, d) for d in shape]
        size[axis] = draw.int(1, 7)
        return Case(op, [x, draw.constant(draw.ints(size, -shape[axis], shape[axis] - 1, kind))], opset, axis=axis)
    batch = draw.int(0, rank - 1) if draw.flip(0.4) else 0
    depth = draw.int(1, rank - batch)
    lead = shape[:batch] + draw.shape(0 if batch else 1, 2, 3)
    if len(lead) < 1:
        lead = [2]
    indices = np.stack([draw.ints(lead, -shape[batch + i], shape[batch + i] - 1) for i in range(depth)], -1)
    return Case(op, [x, draw.constant(indices)], opset, batch_dims=batch if batch else draw.maybe(0))


def scatter(draw):
    op = draw.pick(["ScatterElements", "ScatterND", "OneHot", "NonZero"])
    opset = draw.opset()
    shape = draw.shape(1, 4, 6)
    rank = len(shape)
    axis = draw.axis(rank)
    kind = draw.pick([np.int64, np.int32])
    dtype = draw.pick([np.float32, np.float32, np.int64, np.int32, np.float64, np.uint8])
    x = draw.values(shape, dtype)
    reduction = draw.pick([None, "none", "add", "mul"] + (["max", "min"] if opset >= 18 else [])) if opset >= 16 else None
    if op == "ScatterElements":
        size = [draw.int(1, d) for d in shape]
        if reduction in (None, "none"):  # without duplicates the order does not matter
            places = np.stack([draw.rng.permutation(shape[axis])[:size[axis]]
                               for _ in range(int(np.prod(size)) // size[axis])])
            moved = size[:]
            moved.pop(axis)
            indices = np.moveaxis(places.reshape([*moved, size[axis]]), -1, axis)
            indices = np.where(draw.values(indices.shape, bool), indices, indices - shape[axis]).astype(kind)
        else:
            indices = draw.ints(size, -shape[axis], shape[axis] - 1, kind)
        return Case(op, [x, draw.constant(indices), draw.constant(draw.values(indices.shape, dtype))], opset, axis=axis,
                    reduction=reduction)
    if op == "ScatterND":
        depth = draw.int(1, rank)
        every = np.stack(np.meshgrid(*[np.arange(d) for d in shape[:depth]], indexing="ij"), -1).reshape(-1, depth)
        chosen = draw.rng.permutation(len(every))[:draw.int(1, len(every))]
        if reduction not in (None, "none"):
            chosen = draw.rng.integers(0, len(every), size=draw.int(1, 6))
        indices = every[chosen].astype(np.int64)
        indices = np.where(draw.values(indices.shape, bool), indices, indices - np.asarray(shape[:depth]))
        updates = draw.values([len(indices), *shape[depth:]], dtype)
        return Case(op, [x, draw.constant(indices), updates], opset, reduction=reduction)
    if op == "OneHot":
        depth = draw.int(1, 7)
        indices = draw.ints(draw.shape(0, 3, 4), -depth - 2, depth + 2, np.int64).astype(draw.pick([np.int64, np.float32]))
        values = np.asarray([2, 5], draw.pick([np.float32, np.int64]))
        return Case(op, [indices, draw.constant(np.asarray(draw.pick([[depth], depth]), np.int64)), draw.constant(values)],
                    opset, axis=draw.maybe(draw.int(-indices.ndim - 1, indices.ndim)))
    # Of a scalar ONNX Runtime makes [1, n], where the operator's text asks for [0, n].
    x = draw.values(draw.shape(1, 4), draw.pick([np.float32, np.int64, bool, np.int32]))
    x = x * draw.values(x.shape, bool) if x.dtype != bool else x
    return Case(op, [np.asarray(x)], opset)


def blocks(draw):
    """DepthToSpace, SpaceToDepth, ReverseSequence, and the makers: Shape, Size, ConstantOfShape, Range, EyeLike."""
    op = draw.pick(["DepthToSpace", "SpaceToDepth", "ReverseSequence", "Shape", "Size", "ConstantOfShape", "Range", "EyeLike",
                    "Dropout", "Det"])
    opset, block = draw.opset(), draw.int(1, 3)
    if op == "DepthToSpace":
        x = draw.values([draw.int(1, 2), block * block * draw.int(1, 3), draw.int(1, 4), draw.int(1, 4)])
        return Case(op, [x], opset, blocksize=block, mode=draw.pick([None, "DCR", "CRD"]))
    if op == "SpaceToDepth":
        x = draw.values([draw.int(1, 2), draw.int(1, 3), block * draw.int(1, 3), block * draw.int(1, 3)])
        return Case(op, [x], opset, blocksize=block)
    if op == "ReverseSequence":
        time = draw.int(0, 1)
        x = _array(draw, [draw.int(1, 5), draw.int(1, 5), *draw.shape(0, 2)])
        lengths = draw.ints([x.shape[1 - time]], 1, x.shape[time])
        return Case(op, [x, draw.constant(lengths)], opset, time_axis=time if time else draw.maybe(0), batch_axis=1 - time)
    if op == "Shape":
        edges = dict(start=draw.maybe(draw.int(-6, 6)), end=draw.maybe(draw.int(-6, 6))) if opset >= 15 else {}
        return Case(op, [_array(draw, draw.shape(0, 5, zero=0.1))], opset, **edges)
    if op == "Size":
        return Case(op, [_array(draw, draw.shape(0, 5, zero=0.1))], opset)
    if op == "ConstantOfShape":
        value = numpy_helper.from_array(_array(draw, [1]))
        return Case(op, [draw.constant(np.asarray(draw.shape(0, 4, zero=0.1), np.int64))], opset, value=draw.maybe(value))
    if op == "Range":
        dtype = draw.pick([np.float32, np.float64, np.int64, np.int32, np.int16])
        step = draw.pick([1, 2, -1, -3]) if dtype not in (np.float32, np.float64) else draw.pick([0.5, -0.25, 0.3])
        start = draw.int(-9, 9)
        limit = start + draw.int(-4, 20) * (1 if step > 0 else -1)
        return Case(op, [draw.constant(np.asarray(v, dtype)) for v in (start, limit, step)], opset)
    if op == "EyeLike":
        x = draw.values(draw.shape(2, 2, 6), draw.pick([np.float32, np.int32, np.int64]))
        return Case(op, [x], opset, k=draw.maybe(draw.int(-5, 5)), dtype=draw.maybe(draw.pick([1, 7, 11])))
    if op == "Dropout":
        return Case(op, [_array(draw, draw.shape(0, 4)).astype(np.float32), draw.constant(np.float32(0.4) + np.zeros([], np.float32))],
                    opset, draw.pick([1, 2]))
    side = draw.int(1, 4)
    return Case(op, [draw.values([*draw.shape(0, 2), side, side])], opset, relative=1e-4, absolute=1e-4)


def vision(draw):
    op = draw.pick(["NonMaxSuppression", "GridSample", "GridSample", "RoiAlign", "AffineGrid"])
    if op == "NonMaxSuppression":
        batch, classes, boxes = draw.int(1, 2), draw.int(1, 3), draw.int(1, 12)
        center = draw.flip()
        box = draw.values([batch, boxes, 4], np.float32, 0, 4)
        if center:
            box[..., 2:] = np.abs(box[..., 2:]) + 0.5
        elif draw.flip():
            box[..., 2:] = box[..., :2] + np.abs(box[..., 2:]) + 0.2
        scores = draw.values([batch, classes, boxes], np.float32, 0, 1)
        if draw.flip(0.3):
            scores = np.round(scores * 4) / np.float32(4)
        limit = draw.constant(np.asarray(draw.pick([[3], 2, [0], [100]]), np.int64)) if draw.flip(0.9) else None
        overlap = draw.constant(np.asarray([draw.uniform(0, 1)], np.float32)) if draw.flip(0.8) else None
        score = draw.constant(np.asarray([draw.uniform(0, 0.7)], np.float32)) if draw.flip() else None
        return Case(op, [box, scores, limit, overlap, score], draw.opset(11), center_point_box=int(center) if center else draw.maybe(0))
    if op == "GridSample":
        opset = draw.int(16, 21)
        rank = 3 if opset >= 20 and draw.flip(0.3) else 2
        modes = ["bilinear", "nearest", "bicubic"] if opset < 20 else ["linear", "nearest"] + (["cubic"] if rank == 2 else [])
        x = draw.values([draw.int(1, 2), draw.int(1, 3), *[draw.int(1, 6) for _ in range(rank)]])
        # Cubic with a border: ONNX Runtime clamps both coordinates as soon as one is outside.
        mode = draw.maybe(draw.pick(modes))
        grid = draw.values([x.shape[0], *[draw.int(1, 5) for _ in range(rank)], rank], np.float32, -1.5, 1.5)
        return Case(op, [x, grid], opset, relative=1e-4, absolute=1e-4, mode=mode,
                    padding_mode=draw.pick([None, "zeros", "border", "reflection"] if mode not in ("cubic", "bicubic")
                                           else ["zeros", "reflection"]), align_corners=draw.pick([None, 0, 1]))
    if op == "RoiAlign":
        opset = draw.pick([10, 16, 18, 21])
        x = draw.values([draw.int(1, 2), draw.int(1, 3), draw.int(3, 9), draw.int(3, 9)])
        count = draw.int(1, 4)
        start = draw.values([count, 2], np.float32, -1, 5)
        rois = np.concatenate([start, start + draw.values([count, 2], np.float32, 0.3, 6)], 1)
        attributes = dict(coordinate_transformation_mode=draw.pick([None, "half_pixel", "output_half_pixel"])) if opset >= 16 else {}
        return Case(op, [x, rois, draw.ints([count], 0, x.shape[0] - 1)], opset, relative=1e-4, absolute=1e-4,
                    output_height=draw.maybe(draw.int(1, 4)), output_width=draw.maybe(draw.int(1, 4)),
                    sampling_ratio=draw.maybe(draw.int(0, 3)), spatial_scale=draw.maybe(draw.pick([0.5, 1.0, 2.0])),
                    mode=draw.pick([None, "avg", "max"]), **attributes)
    rank = draw.pick([2, 3])
    theta = draw.values([draw.int(1, 3), rank, rank + 1])
    size = [theta.shape[0], draw.int(1, 3), *[draw.int(2, 5) for _ in range(rank)]]
    return Case(op, [theta, draw.constant(np.asarray(size, np.int64))], draw.int(20, 21), align_corners=draw.pick([None, 0, 1]),
                absolute=1e-5)


FAMILIES = {f.__name__: f for f in (reshape, slicing, gather, scatter, blocks, vision)}
