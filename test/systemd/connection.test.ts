import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { openConnection } from '../../src/systemd/connection.ts'
import { connectManager } from '../../src/systemd/dbus-manager.ts'

const ping = { path: '/', interface: 'org.freedesktop.DBus.Peer', member: 'Ping' }

/** A Unix socket whose other end authenticates as a D-Bus server does, and then does as the test says. */
async function peer(afterAuthentication: (socket: Socket) => void): Promise<AsyncDisposable & { path: string }> {
  const directory = await mkdtemp(join(tmpdir(), 'forerun-dbus-'))
  const path = join(directory, 'socket')
  const server = createServer((socket) => {
    socket.on('error', () => {}) // the client may be gone
    socket.on('data', (data) => {
      if (data.includes('AUTH EXTERNAL')) socket.write('OK 0123456789abcdef\r\n')
      if (data.includes('BEGIN')) afterAuthentication(socket)
    })
  })
  server.listen(path)
  await once(server, 'listening')
  return {
    path,
    async [Symbol.asyncDispose]() {
      server.close()
      await rm(directory, { recursive: true })
    },
  }
}

test('a connection that ends while a call waits rejects that call and every later one', async () => {
  await using other = await peer((socket) => socket.end())
  const connection = openConnection(other.path)
  await assert.rejects(connection.call(ping), { name: 'ConnectionLost' })
  assert.equal(connection.alive, false)
  await assert.rejects(connection.call(ping), { name: 'ConnectionLost' })
})

test('a message that is cut off ends the connection, not the process', async () => {
  await using other = await peer((socket) => socket.end(Buffer.from('l\x02\x01\x01\x10', 'latin1')))
  const connection = openConnection(other.path)
  await assert.rejects(connection.call(ping), { name: 'ConnectionLost' })
})

test('a call that nobody answers ends after its time', async () => {
  await using other = await peer(() => {})
  const connection = openConnection(other.path)
  await assert.rejects(connection.call(ping, { timeout: 20 }), {
    name: 'CallTimeout',
    message: /Ping was not answered/,
  })
  assert.equal(connection.alive, true)
  connection.close()
})

test('closing rejects the calls that wait', async () => {
  await using other = await peer(() => {})
  const connection = openConnection(other.path)
  const call = assert.rejects(connection.call(ping), { name: 'ConnectionLost' })
  connection.close()
  await call
})

test('a server that refuses the authentication is an error', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'forerun-dbus-'))
  const server = createServer((socket) => socket.on('data', () => socket.write('REJECTED EXTERNAL\r\n')))
  server.listen(join(directory, 'socket'))
  await once(server, 'listening')
  const connection = openConnection(join(directory, 'socket'))
  await assert.rejects(connection.call(ping), { name: 'ConnectionLost' })
  server.close()
  await rm(directory, { recursive: true })
})

test('a host without systemd is told so, naming both sockets', async () => {
  const sockets = { busSocket: '/nonexistent/bus', privateSocket: '/nonexistent/private' }
  await assert.rejects(connectManager({ emit: () => {}, ...sockets }), {
    name: 'ForerunError',
    code: 'systemd',
    message: 'systemd does not run here: there is neither /nonexistent/bus nor /nonexistent/private',
  })
})

test('an abort ends the connecting to a bus that keeps silent', async () => {
  await using other = await peer(() => {})
  const signal = AbortSignal.timeout(20)
  const sockets = { busSocket: other.path, privateSocket: '/nonexistent/private' }
  await assert.rejects(connectManager({ emit: () => {}, signal, ...sockets }), {
    name: 'ForerunError',
    code: 'interrupted',
  })
})
