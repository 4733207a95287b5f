"""Prints what S3 answers to each of the things that the keys in /run/secrets/env are used for."""

import json
import shlex
import sys
from pathlib import Path

import boto3
from botocore.exceptions import ClientError

found = dict(line.split("=", 1) for line in shlex.split(Path("/run/secrets/env").read_text()))
keys = {"aws_access_key_id": found["AWS_ACCESS_KEY_ID"], "aws_secret_access_key": found["AWS_SECRET_ACCESS_KEY"]}
client = boto3.client("s3", endpoint_url="http://s3:8333", region_name="us-east-1", **keys)


def answer(verb, bucket, key):
    arguments = {
        "get": {"Key": key},
        "put": {"Key": key, "Body": b"x"},
        "delete": {"Key": key},
        "list": {"Prefix": key},
    }[verb]
    call = client.list_objects_v2 if verb == "list" else getattr(client, f"{verb}_object")
    try:
        call(Bucket=bucket, **arguments)
    except ClientError as error:
        return error.response["Error"]["Code"]
    return "ok"


print(json.dumps({wanted: answer(*wanted.split(":")) for wanted in sys.argv[1:]}))
