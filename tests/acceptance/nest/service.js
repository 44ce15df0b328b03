// A NestJS microservice on Kafka, as its documentation has it: `node service.js BROKERS`.
// Decorators are called as functions, because this file is no TypeScript.
require('reflect-metadata');
const { Controller, Module } = require('@nestjs/common');
const { NestFactory } = require('@nestjs/core');
const { MessagePattern, Payload, RpcException, Transport } = require('@nestjs/microservices');

class Converter {
  convert(payload) {
    if (payload.path === '/no/such/file') throw new RpcException(`no such file: ${payload.path}`);
    return { converted: payload.path, by: 'nest' };
  }
}
const method = Object.getOwnPropertyDescriptor(Converter.prototype, 'convert');
MessagePattern('convert')(Converter.prototype, 'convert', method);
Payload()(Converter.prototype, 'convert', 0);
Controller()(Converter);

class App {}
Module({ controllers: [Converter] })(App);

async function main() {
  const app = await NestFactory.createMicroservice(App, {
    transport: Transport.KAFKA,
    options: {
      client: { clientId: 'converter', brokers: process.argv[2].split(',') },
      consumer: { groupId: 'converter' },
      subscribe: { fromBeginning: true },
    },
  });
  await app.listen();
  console.log('Listening');
}
main();
