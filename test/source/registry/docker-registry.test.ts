import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { digestOf } from '../../../src/image/digest.ts'
import { ensurePackages } from '../../lab/packages.ts'
import { descriptor, indexOf, ociIndex, ociManifest, testImage } from './image.ts'
import { amd64, collect, reading } from './reading.ts'

test('the reference registry serves an image behind an index, whole and from the middle', async () => {
  await ensurePackages(['docker-registry'])
  await using registry = await startRegistry()
  const image = testImage({ layerSize: 5_000_000 })
  const index = indexOf({
    ...descriptor(ociManifest, image.manifest),
    platform: { os: 'linux', architecture: 'amd64' },
  })
  await pushBlob(registry.host, image.configuration)
  await pushBlob(registry.host, image.layer)
  await pushManifest(registry.host, digestOf(image.manifest), { bytes: image.manifest, mediaType: ociManifest })
  await pushManifest(registry.host, '1', { bytes: index, mediaType: ociIndex })

  const { source, context } = reading(registry.host)
  const resolved = await source.manifest(amd64, context)
  assert.equal(resolved.digest, digestOf(image.manifest))
  assert.ok((await collect(source, resolved.manifest.config, context)).equals(image.configuration))
  assert.ok((await collect(source, image.layerDescriptor, context)).equals(image.layer))

  const missing = reading(registry.host, {}, 'team/app:2')
  await assert.rejects(missing.source.manifest(amd64, missing.context), {
    code: 'image-not-found',
    message: /no tag 2/,
  })
  const nowhere = reading(registry.host, {}, 'team/none:1')
  await assert.rejects(nowhere.source.manifest(amd64, nowhere.context), { code: 'image-not-found' })
})

test('a pull goes on after the reference registry was killed and started again', async () => {
  await ensurePackages(['docker-registry'])
  await using registry = await startRegistry()
  // More than the kernel's buffers hold, so that the rest is still in the registry when it is killed.
  const image = testImage({ layerSize: 40_000_000 })
  await pushBlob(registry.host, image.layer)
  const { source, context, retries } = reading(registry.host, { delays: { first: 300 } })
  const chunks: Buffer[] = []
  for await (const chunk of source.blob(image.layerDescriptor, context)) {
    if (chunks.push(chunk) === 1) await registry.killAndStart()
  }
  assert.ok(Buffer.concat(chunks).equals(image.layer))
  assert.ok(retries().length > 0)
})

/** The real server on a free port with a folder of its own. */
async function startRegistry(): Promise<AsyncDisposable & { host: string; killAndStart: () => Promise<void> }> {
  const folder = mkdtempSync(join(tmpdir(), 'forerun-registry-'))
  const host = `127.0.0.1:${await freePort()}`
  const configuration = join(folder, 'config.yml')
  writeFileSync(
    configuration,
    `version: 0.1\nstorage: {filesystem: {rootdirectory: ${folder}}}\nhttp: {addr: "${host}"}\n`,
  )
  let child = launch(configuration)
  await answering(host)
  return {
    host,
    async killAndStart() {
      await child.kill()
      child = launch(configuration)
      await answering(host)
    },
    async [Symbol.asyncDispose]() {
      await child.kill()
      rmSync(folder, { recursive: true })
    },
  }
}

function launch(configuration: string): { kill: () => Promise<void> } {
  const child = spawn('docker-registry', ['serve', configuration], { stdio: 'ignore' })
  const exited = new Promise<void>((resolve) => child.once('exit', () => resolve()))
  return {
    async kill() {
      child.kill('SIGKILL')
      await exited
    },
  }
}

async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  assert.ok(typeof address === 'object' && address !== null)
  await new Promise((resolve) => server.close(resolve))
  return address.port
}

async function answering(host: string): Promise<void> {
  const deadline = performance.now() + 10_000
  for (;;) {
    try {
      await fetch(`http://${host}/v2/`)
      return
    } catch (error) {
      if (performance.now() > deadline) throw new Error(`docker-registry does not answer at ${host}`, { cause: error })
      await new Promise((resolve) => setTimeout(resolve, 50))
    }
  }
}

async function pushBlob(host: string, bytes: Buffer): Promise<void> {
  const started = await fetch(`http://${host}/v2/team/app/blobs/uploads/`, { method: 'POST' })
  const location = new URL(started.headers.get('location') ?? '', `http://${host}`)
  location.searchParams.set('digest', digestOf(bytes))
  const headers = { 'content-type': 'application/octet-stream' }
  const pushed = await fetch(location, { method: 'PUT', headers, body: new Uint8Array(bytes) })
  assert.equal(pushed.status, 201, await pushed.text())
}

async function pushManifest(host: string, name: string, { bytes, mediaType }: { bytes: Buffer; mediaType: string }) {
  const pushed = await fetch(`http://${host}/v2/team/app/manifests/${name}`, {
    method: 'PUT',
    headers: { 'content-type': mediaType },
    body: new Uint8Array(bytes),
  })
  assert.equal(pushed.status, 201, await pushed.text())
}
