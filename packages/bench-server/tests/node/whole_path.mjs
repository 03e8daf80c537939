// node whole_path.mjs ADDRESS PROTOS USERNAME PASSWORD FOLDER: logs in, makes a project, sends the dataset in FOLDER, makes a
// version of it and reads it back. It has our .proto files and nothing else of ours. Prints one JSON object.
import { randomUUID } from "node:crypto";
import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import grpc from "@grpc/grpc-js";
import loader from "@grpc/proto-loader";
import { blake3 } from "@noble/hashes/blake3.js";
import { bytesToHex } from "@noble/hashes/utils.js";

const MESSAGE_BYTES = 1 << 20;
const [address, protos, username, password, folder] = process.argv.slice(2);

function service(file, name) {
  const options = { keepCase: true, longs: Number, includeDirs: [protos] };
  const loaded = grpc.loadPackageDefinition(loader.loadSync(file, options));
  const Service = name.split(".").reduce((scope, part) => scope[part], loaded);
  return new Service(address, grpc.credentials.createInsecure());
}

const auth = service("bench_protos/auth/v1/auth.proto", "bench.auth.v1.AuthService");
const projects = service("bench_protos/projects/v1/projects.proto", "bench.projects.v1.ProjectService");
const datasets = service("bench_protos/data/v1/datasets.proto", "bench.data.v1.DatasetService");
const metadata = new grpc.Metadata();

function call(client, method, request) {
  return new Promise((resolve, reject) =>
    client[method](request, metadata, (error, response) => (error ? reject(error) : resolve(response))),
  );
}

function upload(project_id, digest, data) {
  return new Promise((resolve, reject) => {
    const stream = datasets.UploadBlob(metadata, (error, response) => (error ? reject(error) : resolve(response)));
    stream.write({ project_id, digest, size_bytes: data.length });
    for (let at = 0; at < data.length; at += MESSAGE_BYTES) {
      stream.write({ data: data.subarray(at, at + MESSAGE_BYTES) });
    }
    stream.end();
  });
}

async function download(project_id, digest) {
  const pieces = [];
  for await (const message of datasets.DownloadBlob({ project_id, digest }, metadata)) {
    pieces.push(message.data);
  }
  return Buffer.concat(pieces);
}

const login = await call(auth, "Login", { username, password, token_name: "node" });
metadata.set("authorization", `Bearer ${login.token}`);
const { project } = await call(projects, "CreateProject", { request_id: randomUUID(), name: "from node" });
const project_id = project.id;

const names = readdirSync(folder, { recursive: true }).filter((name) => /\.(zip|npz)$/.test(name));
const files = names.map((name) => {
  const data = readFileSync(join(folder, name));
  return { data, digest: bytesToHex(blake3(data)) };
});
const found = await call(datasets, "FindBlobs", { project_id, digests: files.map((file) => file.digest) });
for (const [at, file] of files.entries()) {
  if (!found.blobs[at].complete) await upload(project_id, file.digest, file.data);
}

const manifest = readFileSync(join(folder, "dataset.json"));
const request = { request_id: randomUUID(), project_id, dataset: "train", manifest };
const made = await call(datasets, "CreateVersion", request);
const read = await call(datasets, "GetVersion", { project_id, dataset: "train" });
let same = read.manifest.equals(manifest);
for (const file of files) {
  same &&= (await download(project_id, file.digest)).equals(file.data);
}
console.log(JSON.stringify({ files: files.length, same, fingerprint: made.version.fingerprint }));
for (const client of [auth, projects, datasets]) client.close();
