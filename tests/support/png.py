"""Reads and makes 8-bit RGB PNG files without any image library."""
import struct
import zlib

import numpy as np


def read_rgb(path):
    """The image as uint8 [height, width, 3], RGB. ValueError for every other kind of PNG."""
    with open(path, "rb") as file:
        blob = file.read()
    if blob[:8] != b"\x89PNG\r\n\x1a\n":
        raise ValueError(f"{path}: not a PNG file")
    position, packed, width, height = 8, b"", 0, 0
    while position < len(blob):
        length, kind = struct.unpack(">I4s", blob[position:position + 8])
        body = blob[position + 8:position + 8 + length]
        if kind == b"IHDR":
            width, height, depth, colour, _, _, interlace = struct.unpack(">IIBBBBB", body)
            if (depth, colour, interlace) != (8, 2, 0):
                raise ValueError(f"{path}: only 8-bit RGB without interlace is read")
        elif kind == b"IDAT":
            packed += body
        position += 12 + length
    rows = np.frombuffer(zlib.decompress(packed), np.uint8).reshape(height, 1 + 3 * width)
    image = np.zeros((height, 3 * width), np.uint8)
    above = np.zeros(3 * width, np.uint8)
    for y in range(height):
        image[y] = above = _unfilter(int(rows[y, 0]), rows[y, 1:], above)
    return image.reshape(height, width, 3)


def encode_rgb(pixels):
    """The bytes of an 8-bit RGB PNG of [height, width, 3] pixels."""
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    height, width, _ = pixels.shape
    rows = b"".join(b"\0" + pixels[i].tobytes() for i in range(height))
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)) +
            chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))


def _unfilter(kind, row, above):
    """PNG specification, section 9.2; all sums modulo 256."""
    if kind == 0:
        return row
    if kind == 2:
        return row + above
    out = np.zeros_like(row)
    for i in range(len(row)):
        left = int(out[i - 3]) if i >= 3 else 0
        up, corner = int(above[i]), int(above[i - 3]) if i >= 3 else 0
        if kind == 1:
            guess = left
        elif kind == 3:
            guess = (left + up) // 2
        else:
            estimate = left + up - corner
            guess = min((left, up, corner), key=lambda value: abs(estimate - value))
        out[i] = (int(row[i]) + guess) & 255
    return out
