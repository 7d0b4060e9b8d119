import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { type BreakingProxy, startBreakingProxy } from '../lab/breaking-proxy.ts'
import { exportFiles, serviceExports } from '../lab/busybox.ts'
import { assembleImage, type LabImage } from '../lab/image.ts'
import { packLayer, sha256 } from '../lab/layer.ts'
import type { StartedProcess } from '../lab/process.ts'
import { corrupt, stall, throttle } from '../lab/proxy-faults.ts'
import { type InstalledHost, installedHost, until } from './installed-host.ts'

/** A pull that was cut short, whatever by, is taken up by the next one: at most a twentieth of the layer comes a second time. */
const small = await packLayer({ small: randomBytes(300_000), ...exportFiles(serviceExports(['sleep', 'infinity'])) })
const large = await subject('team/large', 60_000_000)
const medium = await subject('team/medium', 8_000_000)

interface Subject {
  readonly name: string
  readonly image: LabImage
  /** SHA-256 of the file `/blob`. */
  readonly content: string
  /** Of the layer that holds it. */
  readonly digest: string
  readonly size: number
}

let lab: InstalledHost
let proxy: BreakingProxy

before(async () => {
  lab = await installedHost()
  mkdirSync(join(lab.host.root, 'etc/forerun'))
  writeFileSync(join(lab.host.root, 'etc/forerun/forerun.conf'), '[registry]\nretries = 1\ntimeout = 5\n')
  proxy = await startBreakingProxy(lab.registry.address)
  for (const { name, image } of [large, medium]) await lab.push(name, image)
})
after(async () => {
  // Of what `before` came to.
  await proxy?.[Symbol.asyncDispose]()
  await lab?.[Symbol.asyncDispose]()
})

const killed = (pull: StartedProcess): void => pull.signal('SIGKILL')
const interruptions: Record<string, { by: (pull: StartedProcess) => void; status: number }> = {
  'killed at once': { by: killed, status: 128 + 9 },
  'interrupted by Ctrl-C': { by: (pull) => pull.signal('SIGINT'), status: 130 },
  'left by its registry': { by: () => proxy.stop(), status: 1 },
}

for (const [name, { by, status }] of Object.entries(interruptions)) {
  test(`a pull ${name} in the middle of a layer: the next one fetches the rest`, async () => {
    emptyStore()
    const half = Math.floor(large.size / 2)
    assert.equal(await pullUpTo(large, { kept: half, by }), status)
    if (name === 'left by its registry') await proxy.start()
    await pull(large)
    assert.ok(served(large) <= large.size - half + large.size / 20, `${served(large)} bytes were served again`)
    assert.equal(proxy.served(blob(sha256(small.bytes))), 0)
    assert.deepEqual(partialFiles(), [])
    await assertInstalls(large)
  })
}

test('a pull killed while bytes flow at 10 MB/s: a twentieth at most is fetched twice', async () => {
  emptyStore()
  proxy.mend()
  proxy.spoil(blob(large.digest), throttle({ bytesPerSecond: 10_000_000 }))
  const { signal, finished } = startPull(large)
  await until('half is kept', () => keptBytes(large) >= large.size / 2, { seconds: 30 })
  signal('SIGKILL')
  await finished
  const first = served(large)
  await pull(large)
  assert.ok(first + served(large) <= large.size * 1.05, `${first} and then ${served(large)} bytes were served`)
})

test('a pull that was cut short many times fetches little twice, and takes no more room in the end', async () => {
  emptyStore()
  await pull(medium)
  const usual = await storeSize()
  emptyStore()
  let total = 0
  for (const part of [0.2, 0.4, 0.6, 0.8]) {
    await pullUpTo(medium, { kept: Math.floor(medium.size * part), by: killed })
    total += served(medium)
  }
  await pull(medium)
  total += served(medium)
  assert.ok(total <= medium.size * 1.05, `${total} bytes were served`)
  const size = await storeSize()
  assert.ok(Math.abs(size - usual) < 64 * 1024, `the store has ${size} bytes, where it had ${usual}`)
})

const damages: Record<string, (path: string) => void> = {
  'with another byte in its middle': (path) => {
    const bytes = readFileSync(path)
    bytes[1_000_000] = (bytes[1_000_000] ?? 0) ^ 0x10
    writeFileSync(path, bytes)
  },
  'that ends in zeros, as after a power cut': (path) => writeFileSync(path, readFileSync(path).fill(0, 3_900_000)),
  'without its end': (path) => truncateSync(path, 1_000_000),
  'that has grown': (path) => writeFileSync(path, randomBytes(9_000_000)),
  'that is empty': (path) => truncateSync(path, 0),
}

for (const [name, damage] of Object.entries(damages)) {
  test(`what is left of a pull, ${name}: the next one fetches what it has to, and no wrong tree`, async () => {
    emptyStore()
    await pullUpTo(medium, { kept: medium.size / 2, by: killed })
    damage(join(partialFolder(), partialFile(medium) ?? ''))
    await pull(medium)
    const { length } = proxy.requests.filter((request) => blob(medium.digest).test(`GET ${request.path}`))
    assert.ok(length <= 2, `the layer was asked for ${length} times`)
    assert.deepEqual(partialFiles(), [])
    await assertInstalls(medium)
  })
}

test('a registry that has another rest, once: all is fetched anew', async () => {
  emptyStore()
  await pullUpTo(medium, { kept: medium.size / 2, by: killed })
  proxy.mend()
  proxy.spoil(blob(medium.digest), corrupt({ at: 2_000_000 }), { times: 1 })
  await lab.must('pull', `${proxy.address}/${medium.name}`)
  assert.ok(served(medium) <= medium.size * 1.5 + 1, `${served(medium)} bytes were served`)
  await assertInstalls(medium)
})

test('a registry that has another rest, always: an error, and nothing is kept of it', async () => {
  emptyStore()
  await pullUpTo(medium, { kept: medium.size / 2, by: killed })
  proxy.mend()
  proxy.spoil(blob(medium.digest), corrupt({ at: 2_000_000 }))
  const { status, stderr } = await lab.forerun('pull', `${proxy.address}/${medium.name}`)
  assert.equal(status, 1)
  assert.match(stderr, /^forerun: .*(digest|layer)/m)
  assert.equal(partialFile(medium), undefined)
  assert.equal((await lab.must<{ images?: unknown[] }>('images', 'list', '--json')).stdout.includes(medium.name), false)
})

test('an image that was replaced meanwhile is pulled, and prune removes what is left of the old one', async () => {
  emptyStore()
  await pullUpTo(medium, { kept: medium.size / 2, by: killed })
  await lab.push(medium.name, assembleImage([small]))
  try {
    await pull(medium)
    assert.equal(served(medium), 0)
    assert.ok(partialFile(medium) !== undefined)
    await lab.must('images', 'prune')
    assert.deepEqual(partialFiles(), [])
  } finally {
    await lab.push(medium.name, medium.image)
  }
})

test('of two pulls at once the second waits, and has nothing to fetch', async () => {
  emptyStore()
  proxy.mend()
  const reference = `${proxy.address}/${medium.name}`
  const results = await Promise.all([lab.must('pull', reference), lab.must('pull', reference)])
  assert.match(results.map(({ stderr }) => stderr).join(), /Waiting for 'forerun pull /)
  assert.equal(served(medium), medium.size)
})

async function subject(name: string, length: number): Promise<Subject> {
  const content = randomBytes(length)
  const layer = await packLayer({ blob: content })
  const { bytes } = layer
  return {
    ...{ name, image: assembleImage([small, layer]) },
    ...{ content: sha256(content), digest: sha256(bytes), size: bytes.length },
  }
}

/** Pulls through the proxy without faults, counting anew. */
async function pull({ name }: Subject): Promise<void> {
  proxy.mend()
  await lab.must('pull', `${proxy.address}/${name}`)
}

/** Pulls until so many bytes of the layer are kept, and ends the pull. Returns its status. */
async function pullUpTo(
  image: Subject,
  { kept, by }: { kept: number; by: (pull: StartedProcess) => void },
): Promise<number> {
  const before = keptBytes(image)
  proxy.mend()
  proxy.spoil(blob(image.digest), stall({ at: Math.ceil(kept) - before }))
  const pulling = startPull(image)
  await until(`${kept} bytes are kept`, () => keptBytes(image) >= kept)
  by(pulling)
  return (await pulling.finished).status
}

function startPull({ name }: Subject): StartedProcess {
  return lab.host.start(['forerun', 'pull', '--quiet', `${proxy.address}/${name}`], { check: false })
}

async function assertInstalls({ name, content }: Subject): Promise<void> {
  await lab.must('install', '--system', '--name', 'app', `${proxy.address}/${name}`)
  const file = join(lab.host.root, 'var/lib/forerun/containers/app.0/rootfs/blob')
  assert.equal(sha256(readFileSync(file)), content)
  await lab.must('uninstall', 'app')
}

function blob(digest: string): RegExp {
  return new RegExp(`^GET .*/blobs/${digest}$`)
}

function served({ digest }: Subject): number {
  return proxy.served(blob(digest))
}

function emptyStore(): void {
  rmSync(join(lab.host.root, 'var/lib/forerun/store'), { recursive: true, force: true })
}

async function storeSize(): Promise<number> {
  return Number((await lab.shell('du -s -B1 /var/lib/forerun/store')).split('\t')[0])
}

function keptBytes(image: Subject): number {
  const name = partialFile(image)
  return name === undefined ? 0 : statSync(join(partialFolder(), name)).size
}

function partialFile({ digest }: Subject): string | undefined {
  return partialFiles().find((name) => name.includes(digest.slice('sha256:'.length)))
}

function partialFiles(): string[] {
  return existsSync(partialFolder()) ? readdirSync(partialFolder()) : []
}

function partialFolder(): string {
  return join(lab.host.root, 'var/lib/forerun/store/partial')
}
