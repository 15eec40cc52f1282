"""Asks a node over gRPC as a stranger would: reflection, and one call with a token from `meshnode token create`.

Through grpcurl where it is installed; `make demo` also runs without it, then through the reflection client of
grpcio-reflection.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import grpc
from google.protobuf import descriptor_pool, json_format, message_factory
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

from tests.e2e.cluster import Cluster

_SERVICE = "mesh.v1.RepositoryService"


def find_grpcurl() -> str | None:
    """The path of grpcurl, None where it is not installed."""
    return shutil.which("grpcurl", path=f"{os.environ.get('PATH', '')}:/usr/local/bin:{Path.home()}/go/bin")


def list_services(target: str) -> list[str]:
    """Names of the services a node offers."""
    grpcurl = find_grpcurl()
    if grpcurl:
        return grpcurl_run(grpcurl, "-plaintext", target, "list").split()
    with grpc.insecure_channel(target) as channel:
        return list(ProtoReflectionDescriptorDatabase(channel).get_services())


def create_token(cluster: Cluster, *arguments: str) -> str:
    """The JWT that `meshnode token create` prints on its last line."""
    return cluster.meshnode("token", "create", *arguments).stdout.strip().splitlines()[-1]


def call_get_repository(cluster: Cluster, node: int, name: str) -> str:
    """The answer of RepositoryService.Get as JSON."""
    token = create_token(cluster, "--method", f"/{_SERVICE}/Get")
    target = cluster.grpc(node)
    grpcurl = find_grpcurl()
    if grpcurl:
        header = f"authorization: Bearer {token}"
        body = json.dumps({"name": name})
        return grpcurl_run(grpcurl, "-plaintext", "-rpc-header", header, "-d", body, target, f"{_SERVICE}/Get")
    with grpc.insecure_channel(target) as channel:
        pool = descriptor_pool.DescriptorPool(ProtoReflectionDescriptorDatabase(channel))
        method = pool.FindServiceByName(_SERVICE).FindMethodByName("Get")
        request = message_factory.GetMessageClass(method.input_type)(name=name)
        call: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(f"/{_SERVICE}/Get")
        answer = call(request.SerializeToString(), metadata=(("authorization", f"Bearer {token}"),), timeout=30)
        return json_format.MessageToJson(message_factory.GetMessageClass(method.output_type).FromString(answer))


def grpcurl_run(grpcurl: str, *arguments: str) -> str:
    """What grpcurl prints. Raises AssertionError with its complaint."""
    done = subprocess.run([grpcurl, *arguments], capture_output=True, text=True, timeout=60, check=False)
    if done.returncode != 0:
        raise AssertionError(f"grpcurl {arguments[-1]}: {done.stderr}")
    return done.stdout
