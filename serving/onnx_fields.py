"""The few fields of ONNX's file format that ``graph_check.py`` looks at, as protobuf messages; the rest is skipped.

What is refused for being there at all is declared as bytes, so that nothing in it is read and nothing nests. Singular
fields merge, and the last member of a one-of wins, just as in onnxruntime, because both are protobuf's own reader.
"""

from __future__ import annotations

from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

# number, name, type; ``*`` repeats, ``/`` is a member of the message's one-of. Numbers are those of onnx-ml.proto.
MESSAGES = {
    "Model": "7 graph Graph, 8 opset_import Opset*, 20 training_info bytes*, 25 functions bytes*",
    "Opset": "1 domain string, 2 version int64",
    "Graph": "1 node Node*, 5 initializer Tensor*, 15 sparse_initializer bytes*, 11 input Value*, 12 output Value*",
    "Node": "3 name string, 4 op_type string, 7 domain string, 5 attribute Attribute*",
    # t is singular in ONNX; repeated here, so that one that is given twice is looked at twice
    "Attribute": "1 name string, 5 t Tensor*, 10 tensors Tensor*, 6 g bytes*, 11 graphs bytes*,"
    " 22 sparse_tensor bytes*, 23 sparse_tensors bytes*, 14 tp bytes*, 15 type_protos bytes*, 21 ref_attr_name bytes*",
    "Tensor": "1 dims int64*, 8 name string, 13 external_data bytes*, 14 data_location int32",
    "Value": "1 name string, 2 type Type",
    "Type": "1 tensor_type TensorType/, 4 sequence_type bytes/, 5 map_type bytes/, 8 sparse_tensor_type bytes/,"
    " 9 optional_type bytes/",
    "TensorType": "1 elem_type int32, 2 shape Shape",
    "Shape": "1 dim Dim*",
    "Dim": "1 dim_value int64/, 2 dim_param bytes/",
}
_PACKAGE = "gavel.onnx_fields"
_Field = descriptor_pb2.FieldDescriptorProto
_SCALARS = {
    "bytes": _Field.TYPE_BYTES,
    "string": _Field.TYPE_STRING,
    "int32": _Field.TYPE_INT32,
    "int64": _Field.TYPE_INT64,
}


def _model_class() -> Any:
    file = descriptor_pb2.FileDescriptorProto(name="gavel_onnx_fields.proto", package=_PACKAGE, syntax="proto2")
    for name, fields in MESSAGES.items():
        message = file.message_type.add(name=name)
        for text in fields.split(","):
            _add_field(message, *text.split())
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{_PACKAGE}.Model"))


def _add_field(message: Any, number: str, name: str, kind: str) -> None:
    word = kind.rstrip("*/")
    label = _Field.LABEL_REPEATED if kind.endswith("*") else _Field.LABEL_OPTIONAL
    field = message.field.add(number=int(number), name=name, label=label)
    field.type = _SCALARS.get(word, _Field.TYPE_MESSAGE)
    if field.type == _Field.TYPE_MESSAGE:
        field.type_name = f".{_PACKAGE}.{word}"
    if kind.endswith("/"):
        if not message.oneof_decl:
            message.oneof_decl.add(name="value")
        field.oneof_index = 0


Model = _model_class()
