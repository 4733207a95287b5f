"""serving/doors/inference_messages.py"""

import warnings

import pytest

from serving.doors.inference_messages import PROTO, message, read_proto

with warnings.catch_warnings():  # its generated code is older than the library
    warnings.simplefilter("ignore")
    from tritonclient.grpc import service_pb2


def flat(descriptor):
    """All fields of a message and of those inside it: name, number, type, repeated?, of which type, of which oneof."""
    for field in descriptor.fields:
        kind = field.message_type.full_name if field.message_type else None
        oneof = field.containing_oneof.name if field.containing_oneof else None
        yield descriptor.full_name, field.name, field.number, field.type, field.is_repeated, kind, oneof
    for nested in descriptor.nested_types:
        yield from flat(nested)


@pytest.mark.parametrize("name", [one.name for one in read_proto(PROTO.read_text()).message_type])
def test_every_message_is_that_of_the_protocols_clients(name):
    """Names, numbers and types of all fields are those in the generated code of tritonclient."""
    theirs = service_pb2.DESCRIPTOR.message_types_by_name[name]
    assert sorted(flat(message(name).DESCRIPTOR), key=str) == sorted(flat(theirs), key=str)


def test_bytes_of_a_client_can_be_read():
    """Maps, nested messages, a oneof and repeated numbers arrive as they were sent."""
    sent = service_pb2.ModelInferRequest(model_name="m", raw_input_contents=[b"\0\1"])
    sent.inputs.add(name="x", shape=[2, 1]).parameters["a"].string_param = "b"
    found = message("ModelInferRequest").FromString(sent.SerializeToString())
    assert (list(found.inputs[0].shape), found.inputs[0].parameters["a"].string_param) == ([2, 1], "b")
    assert found.SerializeToString(deterministic=True) == sent.SerializeToString(deterministic=True)


def test_a_line_that_is_not_understood_is_refused():
    """A change of the file that the reader does not know cannot go unnoticed."""
    with pytest.raises(ValueError, match="reserved 5"):
        read_proto("message A {\n  reserved 5;\n}")
