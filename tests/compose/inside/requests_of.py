"""Prints how many prices each replica has answered, by its address; the key for its figures is the first argument."""

import json
import re
import sys

import requests

from pipeline.addresses import addresses
from pipeline.settings import read_settings


def answered(url):
    text = requests.get(f"{url}/metrics", headers={"x-api-key": sys.argv[1]}, timeout=5).text
    return sum(
        float(value)
        for value in re.findall(r'^gavel_requests_total\{door="predict",status="200"\} (\S+)$', text, re.MULTILINE)
    )


print(json.dumps({url: answered(url) for url in addresses(read_settings().serving_urls)}))
