#!/usr/bin/env python3
"""Writes src/simplify/opset/signatures.inc from the operator schemas of an installed onnx package.

    python3 tools/opset/make_signatures.py > src/simplify/opset/signatures.inc

One row for each default-domain operator and each opset that changed it, from the version that opset 7 has up to LAST.
A row: type, first opset, inputs, outputs, type variables, attributes.
  inputs, outputs: a type variable or #MASK each, with ? optional, * variadic of one type, ^ variadic of any types
  type variables:  NAME=MASK; bit n of the hexadecimal mask is onnx.TensorProto.DataType n, bit 0 any type that is no tensor
  attributes:      NAME, NAME=DEFAULT or NAME! (required)
"""
import re
import sys

from onnx import TensorProto, defs, helper

FIRST, LAST = 7, 25
OPTION = {"Single": "", "Optional": "?", "Variadic": "*"}


def mask(types):
    """Hexadecimal mask of type strings like tensor(float)."""
    bits = 0
    for text in types:
        match = re.fullmatch(r"tensor\((\w+)\)", text)
        bits |= 1 << TensorProto.DataType.Value(match.group(1).upper()) if match else 1
    return f"{bits:x}"


def formals(schema, parameters):
    variables = {c.type_param_str for c in schema.type_constraints}
    words = []
    for p in parameters:
        option = OPTION[p.option.name]
        if option == "*" and not p.is_homogeneous:
            option = "^"
        words.append((p.type_str if p.type_str in variables else "#" + mask([p.type_str])) + option)
    return " ".join(words)


def attributes(schema):
    words = []
    for name, attribute in sorted(schema.attributes.items()):
        if attribute.required:
            words.append(name + "!")
        elif attribute.default_value.type:
            value = helper.get_attribute_value(attribute.default_value)
            value = value.decode() if isinstance(value, bytes) else value
            if isinstance(value, (list, tuple)) or value == "":
                words.append(name)  # lists and empty texts are written by nobody
            else:
                words.append(f"{name}={value!r}" if isinstance(value, float) else f"{name}={value}")
        else:
            words.append(name)
    return " ".join(words)


def row(schema):
    texts = ["deprecated", "", "", ""] if schema.deprecated else [
        formals(schema, schema.inputs), formals(schema, schema.outputs),
        " ".join(f"{c.type_param_str}={mask(c.allowed_type_strs)}" for c in schema.type_constraints), attributes(schema)]
    return f'{{"{schema.name}", {schema.since_version}, ' + ", ".join(f'"{text}"' for text in texts) + "},"


def main():
    history = {}
    for schema in defs.get_all_schemas_with_history():
        if schema.domain == "" and schema.since_version <= LAST:
            history.setdefault(schema.name, {})[schema.since_version] = schema
    print(f"// Made by tools/opset/make_signatures.py from the schemas of ONNX, opsets {FIRST} to {LAST}.")
    for name in sorted(history):
        versions = sorted(history[name])
        base = [v for v in versions if v <= FIRST][-1:]
        for version in base + [v for v in versions if v > FIRST]:
            print(row(history[name][version]))


if __name__ == "__main__":
    sys.exit(main())
