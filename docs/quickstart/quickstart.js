// SPDX-License-Identifier: Apache-2.0
//
// Creates a VM, follows it until it runs, and deletes it again.
//   node quickstart.js PROTO_DIR NODE[,NODE...] [CA CERTIFICATE KEY]
'use strict';
const { randomUUID } = require('crypto');
const fs = require('fs');
const grpc = require('@grpc/grpc-js');
const loader = require('@grpc/proto-loader');

const PAUSE_MS = 300;
const [protos, addresses, ca, certificate, key] = process.argv.slice(2);

// The messages come from the .proto files, at run time.
const definition = loader.loadSync(
  ['class', 'vm', 'watch'].map((name) => `holdfast/v1/${name}_service.proto`),
  { includeDirs: [protos], keepCase: true, longs: String, enums: String,
    defaults: true });
const holdfast = grpc.loadPackageDefinition(definition).holdfast.v1;

const credentials = ca === undefined
  ? grpc.credentials.createInsecure()
  : grpc.credentials.createSsl(
    fs.readFileSync(ca), fs.readFileSync(key), fs.readFileSync(certificate));

// The nodes of the region. Any of them answers every call.
const nodes = addresses.split(',').map((address) => ({
  classes: new holdfast.ClassService(address, credentials),
  vms: new holdfast.VmService(address, credentials),
  watch: new holdfast.WatchService(address, credentials),
}));

const pause = () => new Promise((done) => setTimeout(done, PAUSE_MS));

function send(client, method, request, attempt) {
  const metadata = new grpc.Metadata();
  metadata.set('holdfast-previous-attempts', String(attempt));
  return new Promise((done, failed) => {
    client[method](request, metadata, { deadline: Date.now() + 10000 },
      (error, response) => (error ? failed(error) : done(response)));
  });
}

// The answer of the first node that has one. A request may be repeated: with
// the same request_id it takes effect once.
async function ask(service, method, request) {
  const once = { request_id: randomUUID(), ...request };
  let last;
  for (let attempt = 0; attempt < 10 * nodes.length; attempt++) {
    try {
      return await send(
        nodes[attempt % nodes.length][service], method, once, attempt);
    } catch (error) {
      if (error.code !== grpc.status.UNAVAILABLE) throw error;
      last = error;
      await pause();
    }
  }
  throw last;
}

// What happens to VMs after the revision, without gap or duplicate: when a node
// goes away, the next one goes on behind the last revision received.
async function* follow(revision) {
  for (let i = 0; ; i++) {
    const stream = nodes[i % nodes.length].watch.Watch(
      { after_revision: revision, kinds: ['KIND_VM'] });
    try {
      for await (const response of stream) {
        yield* response.events;
        revision = response.revision;
      }
    } catch (error) {
      // OUT_OF_RANGE: too far behind. List again, and watch from there.
      if (error.code !== grpc.status.UNAVAILABLE) throw error;
    } finally {
      stream.cancel();
    }
    await pause();
  }
}

async function createClass() {
  try {
    await ask('classes', 'CreateClass', {
      vm_class: {
        name: 'quickstart', resources: { cpu_milli: 100, memory_mib: 64 },
      },
    });
  } catch (error) {
    if (error.code !== grpc.status.ALREADY_EXISTS) throw error;
  }
}

async function main() {
  await createClass();
  const created = await ask('vms', 'CreateVm', {
    vm: {
      name: 'node-1',
      class_name: 'quickstart',
      template: { driver: 'DRIVER_EXEC', command: ['/bin/sleep', '3600'] },
    },
  });
  const { name } = created.vm;
  console.log(`created ${name}`);
  for await (const { vm, deleted } of follow(created.revision)) {
    if (vm.name !== name) continue;
    if (deleted) {
      console.log(`${name} is gone`);
      break;
    }
    if (vm.status.state === 'VM_STATE_RUNNING' && !vm.status.deleting) {
      console.log(`${name} runs on ${vm.status.host} in ${vm.status.zone}`);
      await ask('vms', 'DeleteVm', { name });
    }
  }
}

main().catch((error) => {
  console.error(`${grpc.status[error.code] ?? 'ERROR'}: `
    + `${error.details ?? error.message}`);
  process.exitCode = 1;
}).finally(() => {
  for (const node of nodes) {
    for (const client of Object.values(node)) client.close();
  }
});
