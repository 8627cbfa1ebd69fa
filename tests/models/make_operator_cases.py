"""Writes operator_cases.json: single nodes with inputs, and outputs computed by the reference evaluator of the onnx package.

Run by hand where an operator gains a feature: python3 make_operator_cases.py (needs onnx >= 1.23 and numpy).
"""
import json
import pathlib

import numpy as np
import onnx
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator

rng = np.random.default_rng(7)
NAMES = {"float32": "f32", "float64": "f64", "int8": "i8", "uint8": "u8", "int32": "i32", "int64": "i64", "bool": "bool"}
cases = []


def f(*shape, scale=2.0):
    return (np.round(rng.standard_normal(shape) * scale * 64) / 64).astype(np.float32)


def positive(*shape):
    return (np.abs(f(*shape)) + np.float32(0.25)).astype(np.float32)


def i64(*values):
    return np.array(values, dtype=np.int64)


def tensor_json(array):
    array = np.asarray(array)
    values = [bool(v) if array.dtype == bool else v.item() for v in array.reshape(-1)]
    return {"dtype": NAMES[str(array.dtype)], "shape": list(array.shape),
            "values": [int(v) if isinstance(v, bool) else v for v in values]}


def attribute_json(value):
    if isinstance(value, int):
        return {"integer": value}
    if isinstance(value, float):
        return {"number": value}
    if isinstance(value, str):
        return {"text": value}
    return {"integers": list(value)} if all(isinstance(v, int) for v in value) else {"numbers": list(value)}


def case(op, inputs, opset=21, outputs=1, label="", expected=None, **attributes):
    names = [f"x{i}" if x is not None else "" for i, x in enumerate(inputs)]
    results = [f"y{i}" for i in range(outputs)]
    if expected is None:
        node = helper.make_node(op, names, results, **attributes)
        given = {n: x for n, x in zip(names, inputs) if x is not None}
        infos = [helper.make_tensor_value_info(n, helper.np_dtype_to_tensor_dtype(x.dtype), x.shape) for n, x in given.items()]
        graph = helper.make_graph([node], "g", infos, [helper.make_empty_tensor_value_info(r) for r in results])
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])
        expected = ReferenceEvaluator(model).run(None, given)
    cases.append({"op": op, "label": label, "opset": opset,
                  "attributes": {k: attribute_json(v) for k, v in attributes.items()},
                  "inputs": [None if x is None else tensor_json(x) for x in inputs],
                  "outputs": [tensor_json(y) for y in expected]})


x = f(2, 3, 4)
x[x == 0] = 0.5
for op in ["Abs", "Ceil", "Erf", "Exp", "Floor", "HardSigmoid", "HardSwish", "LeakyRelu", "Neg", "Relu", "Round", "Sigmoid",
           "Softplus", "Tanh", "Elu", "Gelu", "Identity", "Not"]:
    case(op, [x > 0 if op == "Not" else x])
case("Gelu", [x], label="tanh", approximate="tanh")
case("LeakyRelu", [x], alpha=0.3)
for op in ["Sqrt", "Log", "Reciprocal"]:
    case(op, [positive(2, 5)])
case("Clip", [x, np.float32(-1), np.float32(1.5)])
case("Clip", [x, None, np.float32(0.5)], label="upper bound only")
case("Neg", [np.array([3, -4], np.int32)], label="integers")

for op in ["Add", "Sub", "Mul", "Div", "Max", "Min"]:
    case(op, [x, positive(2, 3, 4)])
    case(op, [x, positive(3, 1)], label="right broadcast")
    case(op, [positive(4), x], label="left broadcast")
    case(op, [f(2, 1, 3, 1), positive(1, 4, 1, 5)], label="both broadcast")
    case(op, [x, positive()], label="scalar")
case("Add", [i64(1, -2, 3), i64(10)], label="integers")
case("Div", [i64(7, -7, 9), i64(2, 2, -4)], label="integers towards zero", expected=[i64(3, -3, -2)])
case("Mod", [i64(7, -7, 7, -7), i64(3, 3, -3, -3)])
case("Mod", [f(6), positive(6)], label="fmod", fmod=1)
case("Pow", [positive(2, 3), np.float32(2.0)])
case("Pow", [positive(2, 3), f(3)], label="broadcast")
case("PRelu", [x, positive(3, 1)])
case("Sum", [x, f(3, 1), f(4)])
case("Max", [x, f(3, 1), f(4)], label="three")
case("Min", [x, f(3, 1), f(4)], label="three")
case("Mean", [x, f(2, 3, 4)])

for op in ["Equal", "Less", "LessOrEqual", "Greater", "GreaterOrEqual"]:
    case(op, [np.array([[1, 2, 3], [4, 5, 6]], np.float32), np.array([3, 2, 3], np.float32)])
for op in ["And", "Or", "Xor"]:
    case(op, [np.array([[True], [False]]), np.array([True, False])])
case("Where", [np.array([[True], [False]]), f(2, 3), f(3)])

case("Cast", [f(5, scale=50)], label="to int32", to=TensorProto.INT32)
case("Cast", [f(5)], label="to bool", to=TensorProto.BOOL)
case("Cast", [i64(1, -2, 300)], label="to float", to=TensorProto.FLOAT)
case("Flatten", [f(2, 3, 4)], axis=2)
case("Flatten", [f(2, 3)], label="axis 0", axis=0)
case("Reshape", [f(2, 3, 4), i64(0, -1)])
case("Reshape", [f(2, 3, 4), i64(4, 0, -1)])
case("Squeeze", [f(1, 3, 1, 2), i64(0)])
case("Squeeze", [f(1, 3, 1, 2)], label="all")
case("Unsqueeze", [f(3, 2), i64(0, -1)])
case("Shape", [f(2, 3, 4)], start=1)
case("Size", [f(2, 3, 4)])
case("ConstantOfShape", [i64(2, 3)])
case("Dropout", [f(2, 3)])
case("Transpose", [f(2, 3, 4)])
case("Transpose", [f(2, 3, 4)], perm=[1, 2, 0])
case("Concat", [f(2, 3), f(2, 1), f(2, 2)], axis=1)
case("Concat", [f(2, 3), f(1, 3)], axis=-2)
case("Split", [f(6, 2)], outputs=3, axis=0, num_outputs=3)
case("Split", [f(2, 5), i64(2, 3)], outputs=2, axis=1)
case("Slice", [f(4, 5), i64(1, 0), i64(3, 2**31 - 1), i64(0, 1), i64(1, 2)])
case("Slice", [f(4, 5), i64(-1), i64(-10), i64(1), i64(-2)], label="backwards")
case("Slice", [f(4, 5), i64(3), i64(1), i64(0)], label="nothing")
case("Expand", [f(3, 1), i64(2, 1, 4)])
case("Gather", [f(4, 3), np.array([[0, -1], [2, 2]], np.int64)])
case("Gather", [f(4, 3), i64(2, 0)], axis=1)
for mode in ["constant", "edge", "reflect"]:
    case("Pad", [f(1, 3, 4), i64(0, 1, 2, 0, 2, 1)], label=mode, mode=mode)
case("Pad", [f(3, 4), i64(1, 2), np.float32(1.5), i64(-1)], label="one axis", mode="constant")
cropped = f(3, 4)
case("Pad", [cropped, i64(-1, 0, 0, 1)], label="negative", mode="constant", expected=[np.pad(cropped[1:], ((0, 0), (0, 1)))])

for op in ["ReduceSum", "ReduceMean", "ReduceMax", "ReduceMin", "ReduceProd", "ReduceSumSquare", "ReduceL1", "ReduceL2"]:
    case(op, [f(2, 3, 4), i64(1)])
    case(op, [f(2, 3, 4), i64(0, -1)], label="two axes", keepdims=0)
    case(op, [f(2, 3)], label="all")
case("ArgMax", [np.array([[1, 3, 3], [5, 2, 5]], np.float32)], axis=1)
case("ArgMax", [np.array([[1, 3, 3], [5, 2, 5]], np.float32)], label="last", axis=1, keepdims=0, select_last_index=1)
case("ArgMin", [f(3, 4)], axis=0)

case("Softmax", [f(2, 3, 4)])
case("Softmax", [f(2, 3, 4)], label="middle axis", axis=1)
case("LogSoftmax", [f(2, 5, scale=20)])
flat = f(2, 3, 4)
e = np.exp(flat.reshape(2, 12) - flat.reshape(2, 12).max(1, keepdims=True))
case("Softmax", [flat], opset=11, label="flattened before opset 13", expected=[(e / e.sum(1, keepdims=True)).reshape(2, 3, 4)])
case("BatchNormalization", [f(2, 3, 2, 2), positive(3), f(3), f(3), positive(3)], epsilon=1e-3)
case("LayerNormalization", [f(2, 3, 4), positive(4), f(4)])
case("LayerNormalization", [f(2, 3, 4), positive(3, 4)], label="two axes", axis=1)
case("InstanceNormalization", [f(2, 3, 4, 2), positive(3), f(3)])
# As many samples as channels: the evaluator of onnx 1.16 leaves channels beyond the number of samples out.
case("LRN", [f(5, 5, 2, 1)], size=3, alpha=0.1, beta=0.75, bias=1.0)

image = f(2, 2, 6, 7)
case("MaxPool", [image], kernel_shape=[2, 2], strides=[2, 2])
case("MaxPool", [image], label="padded", kernel_shape=[3, 3], strides=[2, 3], pads=[1, 1, 1, 1])
case("MaxPool", [image], label="rounded up", kernel_shape=[3, 3], strides=[2, 2], ceil_mode=1)
case("MaxPool", [image], label="same", kernel_shape=[3, 2], strides=[2, 2], auto_pad="SAME_UPPER")
case("MaxPool", [f(1, 2, 9)], label="one axis", kernel_shape=[3], strides=[2])
case("AveragePool", [image], kernel_shape=[2, 2], strides=[1, 2])
case("AveragePool", [image], label="padded", kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
case("AveragePool", [image], label="with padding", kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1], count_include_pad=1)
case("GlobalAveragePool", [image])
case("GlobalMaxPool", [image])

w = f(4, 2, 3, 2)
case("Conv", [image, w, f(4)], kernel_shape=[3, 2])
case("Conv", [image, w], label="strided and padded", kernel_shape=[3, 2], strides=[2, 1], pads=[1, 0, 2, 1])
case("Conv", [image, w], label="dilated", kernel_shape=[3, 2], dilations=[2, 3])
case("Conv", [image, w], label="same upper", kernel_shape=[3, 2], strides=[2, 2], auto_pad="SAME_UPPER")
case("Conv", [image, w], label="same lower", kernel_shape=[3, 2], strides=[2, 2], auto_pad="SAME_LOWER")
case("Conv", [image, w], label="valid", kernel_shape=[3, 2], auto_pad="VALID")
case("Conv", [f(2, 4, 5, 5), f(6, 2, 3, 3), f(6)], label="two groups", kernel_shape=[3, 3], group=2, pads=[1, 1, 1, 1])
case("Conv", [f(2, 4, 5, 5), f(4, 1, 3, 3), f(4)], label="depthwise", kernel_shape=[3, 3], group=4, pads=[1, 1, 1, 1], strides=[2, 2])
case("Conv", [f(2, 5, 4, 4), f(7, 5, 1, 1), f(7)], label="pointwise", kernel_shape=[1, 1])
case("Conv", [f(2, 5, 4, 4), f(7, 5, 1, 1)], label="pointwise, strided", kernel_shape=[1, 1], strides=[2, 2])
case("Conv", [f(1, 2, 12, 12), f(3, 2, 9, 9)], label="wide kernel", kernel_shape=[9, 9], pads=[4, 4, 4, 4])
case("Conv", [f(1, 2, 8), f(3, 2, 3), f(3)], label="one axis", kernel_shape=[3], pads=[1, 1])
case("Gemm", [f(3, 5), f(5, 4), f(4)])
case("Gemm", [f(3, 5), f(4, 5), f(3, 1)], label="turned", transB=1, beta=0.5)
case("Gemm", [f(5, 3), f(4, 5), f(3, 4)], label="all turned and scaled", transA=1, transB=1, alpha=0.25, beta=2.0)
case("Gemm", [f(3, 5), f(5, 4)], label="no bias")
case("MatMul", [f(3, 5), f(5, 4)])
case("MatMul", [f(2, 3, 5), f(5, 4)], label="batched left")
case("MatMul", [f(2, 1, 3, 5), f(4, 5, 2)], label="both broadcast")
case("MatMul", [f(5), f(5, 4)], label="row")
case("MatMul", [f(3, 5), f(5)], label="column")

case("Swish", [x], opset=24)
case("Swish", [x], opset=24, label="steeper", alpha=1.5)
case("RMSNormalization", [f(2, 3, 4), f(4)], opset=23)
case("RMSNormalization", [f(2, 3, 5), f(3, 5)], opset=23, label="two axes", axis=1, epsilon=0.01)
case("RMSNormalization", [f(3, 21), f(1)], opset=23, label="one scale")


def angles(*shape):
    turn = rng.uniform(-3, 3, shape)
    return np.cos(turn).astype(np.float32), np.sin(turn).astype(np.float32)


case("RotaryEmbedding", [f(2, 4, 3, 8), *angles(2, 3, 4)], opset=23)
case("RotaryEmbedding", [f(2, 3, 16), *angles(2, 3, 4)], opset=23, label="heads side by side", num_heads=2)
case("RotaryEmbedding", [f(2, 4, 3, 8), *angles(9, 4), np.array([[0, 8, 2], [5, 5, 1]], np.int64)], opset=23, label="positions")
case("RotaryEmbedding", [f(1, 2, 3, 8), *angles(1, 3, 4)], opset=23, label="neighbours", interleaved=1)
case("RotaryEmbedding", [f(1, 2, 3, 8), *angles(1, 3, 2)], opset=23, label="part of a head", rotary_embedding_dim=4)

attention = dict(opset=24)
q, k, v = f(2, 3, 4, 8), f(2, 3, 6, 8), f(2, 3, 6, 5)
case("Attention", [q, k, v], **attention)
case("Attention", [q, k, v], label="scale and softcap", scale=0.25, softcap=2.0, **attention)
case("Attention", [q, k, v], label="causal, more keys", is_causal=1, **attention)
case("Attention", [f(2, 3, 7, 8), f(2, 3, 4, 8), f(2, 3, 4, 8)], label="causal, more queries", is_causal=1, **attention)
case("Attention", [f(2, 4, 12), f(2, 6, 12), f(2, 6, 8)], label="heads side by side", q_num_heads=4, kv_num_heads=4, **attention)
case("Attention", [f(2, 4, 24), f(2, 6, 8), f(2, 6, 4)], label="shared keys side by side", q_num_heads=6, kv_num_heads=2, **attention)
case("Attention", [f(1, 6, 4, 8), f(1, 2, 6, 8), f(1, 2, 6, 8)], label="shared keys", **attention)
case("Attention", [q, k, v, f(4, 6)], label="mask", **attention)
case("Attention", [q, k, v, f(3, 1, 6)], label="mask by head", **attention)
case("Attention", [q, k, v, f(2, 1, 4, 6)], label="mask by sample, causal", is_causal=1, **attention)
seen = rng.random((2, 3, 4, 6)) > 0.4
seen[0, 0, 0] = False
case("Attention", [q, k, v, seen], label="mask of truths, one query without keys", **attention)
case("Attention", [q, k, v, seen[:1, :, :, :5]], label="short mask of truths", **attention)
past_key, past_value = f(2, 3, 5, 8), f(2, 3, 5, 5)
case("Attention", [q, f(2, 3, 4, 8), f(2, 3, 4, 5), None, past_key, past_value], outputs=3, label="past", is_causal=1, **attention)
case("Attention", [f(2, 1, 24), f(2, 1, 24), f(2, 1, 15), None, past_key, past_value], outputs=3, label="past side by side",
     q_num_heads=3, kv_num_heads=3, is_causal=1, **attention)
case("Attention", [q, k, v, None, None, None, i64(6, 3)], label="lengths", **attention)
case("Attention", [q, k, v, None, None, None, i64(5, 2)], label="lengths, causal", is_causal=1, **attention)
for window in [dict(left_window_size=2), dict(right_window_size=1), dict(left_window_size=1, right_window_size=0)]:
    case("Attention", [q, k, v], opset=25, label="window", **window)
case("Attention", [q, f(2, 3, 4, 8), f(2, 3, 4, 5), f(4, 9), past_key, past_value], opset=25, label="window, mask and past", is_causal=1, left_window_size=3)

path = pathlib.Path(__file__).with_name("operator_cases.json")
lines = ",\n".join(json.dumps(c, separators=(",", ":")) for c in cases)
path.write_text(f'{{"origin":"onnx {onnx.__version__}, onnx.reference.ReferenceEvaluator, see make_operator_cases.py",\n"cases":[\n{lines}\n]}}\n')
print(len(cases), "cases,", path.stat().st_size, "bytes")
