"""The rules that every contract keeps (protos/README.md)."""

import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from google.protobuf import descriptor_pb2
from google.protobuf.descriptor_pb2 import DescriptorProto, FieldDescriptorProto, FileDescriptorProto

SOURCE = Path(__file__).parents[1] / "src"
UNSIGNED = {
    FieldDescriptorProto.TYPE_UINT32,
    FieldDescriptorProto.TYPE_UINT64,
    FieldDescriptorProto.TYPE_FIXED32,
    FieldDescriptorProto.TYPE_FIXED64,
}
UNITS = (
    *("_bytes", "_seconds", "_millis", "_nanos"),
    *("_count", "_size", "_number", "_numbers", "_offset", "_code"),
)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[FileDescriptorProto]:
    """Our files with their comments, which Python's stubs do not keep."""
    out = tmp_path_factory.mktemp("protos") / "set"
    names = sorted(str(path.relative_to(SOURCE)) for path in SOURCE.rglob("*.proto"))
    command = [
        sys.executable,
        "-m",
        "grpc_tools.protoc",
        "-I.",
        "--include_source_info",
        f"--descriptor_set_out={out}",
    ]
    subprocess.run([*command, *names], cwd=SOURCE, check=True)
    found = descriptor_pb2.FileDescriptorSet.FromString(out.read_bytes())
    assert len(found.file) == len(names) >= 2
    return list(found.file)


def messages(file: FileDescriptorProto) -> Iterator[DescriptorProto]:
    pending = list(file.message_type)
    while pending:
        message = pending.pop()
        yield message
        pending += message.nested_type


def test_the_package_follows_the_path(files: list[FileDescriptorProto]) -> None:
    for file in files:
        folder = file.name.rpartition("/")[0]
        assert re.fullmatch(r"bench_protos/[a-z]+/v\d+", folder)
        assert file.package == folder.replace("bench_protos", "bench").replace("/", ".")
        assert file.syntax == "proto3"


def test_every_call_has_a_request_and_a_response_of_its_own(files: list[FileDescriptorProto]) -> None:
    used: Counter[str] = Counter()
    for file in files:
        for service in file.service:
            assert service.name.endswith("Service")
            for method in service.method:
                assert method.input_type == f".{file.package}.{method.name}Request"
                assert method.output_type == f".{file.package}.{method.name}Response"
                used.update([method.input_type, method.output_type])
    assert set(used.values()) == {1}


def test_lists_are_paged(files: list[FileDescriptorProto]) -> None:
    for file in files:
        shapes = {m.name: {field.name: field for field in m.field} for m in messages(file)}
        for name, fields in shapes.items():
            if re.fullmatch(r"List\w+Request", name):
                assert fields["page_size"].type == FieldDescriptorProto.TYPE_INT32
                assert fields["page_token"].type == FieldDescriptorProto.TYPE_STRING
            if re.fullmatch(r"List\w+Response", name):
                assert fields["next_page_token"].type == FieldDescriptorProto.TYPE_STRING


def test_enums_begin_with_unspecified(files: list[FileDescriptorProto]) -> None:
    for file in files:
        enums = [*file.enum_type, *(enum for message in messages(file) for enum in message.enum_type)]
        for enum in enums:
            prefix = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", enum.name).upper()
            assert enum.value[0].name == f"{prefix}_UNSPECIFIED"
            assert all(value.name.startswith(f"{prefix}_") for value in enum.value)


def test_fields(files: list[FileDescriptorProto]) -> None:
    for file in files:
        for message in messages(file):
            for field in message.field:
                where = f"{message.name}.{field.name}"
                assert re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", field.name), where
                assert field.type not in UNSIGNED, f"{where} is unsigned"
                is_time = field.type_name == ".google.protobuf.Timestamp"
                assert is_time == field.name.endswith("_time"), where
                if field.type in (FieldDescriptorProto.TYPE_INT64, FieldDescriptorProto.TYPE_INT32):
                    assert field.name.endswith(UNITS) or field.name in ("offset", "length"), (
                        f"{where} has no unit"
                    )
                assert field.type_name != ".google.protobuf.Empty", where


def test_every_service_and_call_is_explained(files: list[FileDescriptorProto]) -> None:
    for file in files:
        explained = {
            tuple(place.path)
            for place in file.source_code_info.location
            if place.leading_comments or place.leading_detached_comments
        }
        assert (12,) in explained, f"{file.name} does not begin with what it is about"  # the syntax line
        for number, service in enumerate(file.service):
            for at, method in enumerate(service.method):
                assert (6, number, 2, at) in explained, f"{service.name}.{method.name}"


def test_the_stubs_are_those_of_the_files(files: list[FileDescriptorProto]) -> None:
    from importlib import import_module

    for file in files:
        stub = import_module(file.name.removesuffix(".proto").replace("/", ".") + "_pb2")
        plain = FileDescriptorProto.FromString(stub.DESCRIPTOR.serialized_pb)
        file.ClearField("source_code_info")
        for message in messages(file):
            for field in message.field:
                field.ClearField("json_name")  # protoc fills it in
        assert plain == file, "./run stubs: the .proto files have changed since the stubs were made"
