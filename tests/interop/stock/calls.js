// SPDX-License-Identifier: Apache-2.0
//
// Makes the calls that are listed on standard input, one JSON object a line, by
// stock @grpc/grpc-js, and says on standard output how each ended.
//   node calls.js ADDRESS PROTO_DIR CA CERTIFICATE KEY
'use strict';
const fs = require('fs');
const grpc = require('@grpc/grpc-js');
const loader = require('@grpc/proto-loader');

const [address, protos, ca, certificate, key] = process.argv.slice(2);
const files = fs.readdirSync(`${protos}/holdfast/v1`)
  .filter((name) => name.endsWith('_service.proto'))
  .map((name) => `holdfast/v1/${name}`);
const definition = loader.loadSync(files, {
  includeDirs: [protos], keepCase: true, longs: String, enums: String,
});
const holdfast = grpc.loadPackageDefinition(definition).holdfast.v1;
const credentials = grpc.credentials.createSsl(
  fs.readFileSync(ca), fs.readFileSync(key), fs.readFileSync(certificate));

function outcome(error, response) {
  const code = error ? error.code : grpc.status.OK;
  const name = Object.keys(grpc.status).find((k) => grpc.status[k] === code);
  return { code: name, text: error ? error.details : '', response };
}

function unary(client, method, request) {
  return new Promise((done) => {
    const deadline = Date.now() + 30000;
    client[method](request, { deadline }, (error, response) =>
      done(outcome(error, response)));
  });
}

// The first messages of a stream, then it is cancelled.
function stream(client, method, request, count) {
  return new Promise((done) => {
    const call = client[method](request, { deadline: Date.now() + 30000 });
    const messages = [];
    call.on('data', (message) => {
      messages.push(message);
      if (messages.length === count) call.cancel();
    });
    call.on('error', (error) => done(messages.length === count
      ? outcome(null, messages) : outcome(error)));
    call.on('end', () => done(outcome(null, messages)));
  });
}

async function main() {
  const clients = {};
  for (const line of fs.readFileSync(0, 'utf8').split('\n')) {
    if (line === '') continue;
    const { path, request, messages } = JSON.parse(line);
    const [service, method] = path.split('/');
    clients[service] ??= new holdfast[service](address, credentials);
    const result = messages
      ? await stream(clients[service], method, request, messages)
      : await unary(clients[service], method, request);
    console.log(JSON.stringify(result));
  }
  for (const client of Object.values(clients)) client.close();
}

main();
