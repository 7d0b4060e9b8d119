import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import {
  chmodSync,
  closeSync,
  lchownSync,
  linkSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { setExtendedAttribute } from '../../../src/host/system-calls.ts'
import { digestOf } from '../../../src/image/digest.ts'
import { parseLocation } from '../../../src/image/location.ts'
import { type DeploymentToStage, stageDeployment } from '../../../src/operations/containers/stage-deployment.ts'
import type { Context } from '../../../src/operations/context.ts'
import { pruneImages } from '../../../src/operations/images/images.ts'
import { type VerifyResult, verify } from '../../../src/operations/integrity/verify.ts'
import { pullImage } from '../../../src/operations/transfer/pull.ts'
import { imageTree } from '../../../src/store/image.ts'
import { readImageIndex } from '../../../src/store/image-index.ts'
import { objectPath } from '../../../src/store/object.ts'
import { resolvePath } from '../../../src/tree/resolve.ts'
import { assembleImage } from '../../lab/image.ts'
import { packLayer } from '../../lab/layer.ts'
import { deploymentInfo } from '../../store/deployment-info.ts'
import { scratch } from '../../store/scratch.ts'
import { type CountedSource, contextIn, countedSource } from '../image-source.ts'

const name = 'example.org/app:1'
const base = await packLayer({
  usr: { type: 'directory' },
  'usr/big': 'x'.repeat(2_000_000),
  'usr/small': 'small',
  'usr/link': { type: 'symlink', target: 'small' },
})
const upper = await packLayer({
  'usr/cap': { content: 'capable', xattrs: { 'user.a': 'b' }, mode: 0o4755 },
  etc: { type: 'directory' },
  'etc/one': 'linked',
  'etc/two': { type: 'link', target: 'etc/one' },
})
const image = assembleImage([base, upper])
const [baseBlob, upperBlob] = [base, upper].map(({ bytes }) => digestOf(bytes)) as [string, string]

let place: ReturnType<typeof scratch>

before(async () => {
  place = scratch()
  const context = hostIn(join(place.path, 'whole'), countedSource(image))
  const { record } = await pullImage(parseLocation(name), {}, context)
  for (const container of ['one', 'two']) await deploy(container, record.manifest, context)
})

after(() => place[Symbol.dispose]())

function hostIn(folder: string, source: CountedSource, notices: string[] = []): Context {
  const context = contextIn(folder, source)
  const emit: Context['emit'] = (event) => {
    if (event.type === 'notice') notices.push(event.message)
  }
  return { ...context, emit, paths: { ...context.paths, ...placesIn(folder) } }
}

function placesIn(folder: string) {
  const [storeLock, hostLock, journal] = ['store.lock', 'host.lock', 'journal'].map((name) => join(folder, 'run', name))
  return { storeLock, hostLock, journal } as { storeLock: string; hostLock: string; journal: string }
}

/** A deployment as `install` makes one, without the host's part. */
async function deploy(container: string, manifest: string, context: Context): Promise<void> {
  const { store, containers } = context.paths
  const record = readImageIndex(store).find((one) => one.manifest === manifest)
  const tree = record && imageTree(store, record)
  assert.ok(record !== undefined && tree !== undefined)
  const configuration = {
    ociVersion: '1.0.2',
    process: { cwd: '/srv', args: ['true'], user: { uid: 0, gid: 0 } },
    root: { path: 'rootfs', readonly: true },
    mounts: [{ destination: '/etc/hosts', type: 'bind', source: '/etc/hosts', options: ['bind'] }],
  }
  const plan: DeploymentToStage = {
    name: container,
    image: { tree, rootfs: undefined },
    checkout: { method: 'hardlink', shared: true },
    files: [],
    bundle: {
      service: {
        configurationText: JSON.stringify(configuration),
        unit: '',
        choosesRoot: false,
        mountPoints: [
          { path: '/etc/hosts', kind: 'file' },
          { path: '/srv', kind: 'directory' },
        ],
      },
    },
    info: deploymentInfo({ image: name, revision: record.id, forerun: { manifest, files: [] } }),
  }
  await using staged = await stageDeployment(plan, context)
  renameSync(staged.folder, join(containers, `${container}.0`))
  symlinkSync(`${container}.0`, join(containers, container))
}

/** A copy of the host, with its hard links. */
function copied(): { host: Host } & Disposable {
  const copy = scratch()
  execFileSync('cp', ['-a', `${place.path}/whole/.`, copy.path])
  return {
    host: {
      store: join(copy.path, 'store'),
      root: join(copy.path, 'containers/one/rootfs'),
      other: join(copy.path, 'containers/two/rootfs'),
      folder: copy.path,
    },
    [Symbol.dispose]: () => copy[Symbol.dispose](),
  }
}

interface Host {
  readonly folder: string
  readonly store: string
  readonly root: string
  readonly other: string
}

function objectOf(host: Host, path: string): string {
  const [record] = readImageIndex(host.store)
  const node = record && resolvePath(imageTree(host.store, record) ?? never(), path)
  return node?.kind === 'file' ? objectPath(host.store, node.object) : never()
}

function never(): never {
  throw new Error('no such file')
}

/** Writes into the inode, so that every name of it is damaged, and keeps its times. */
function overwrite(path: string, bytes: Buffer, at = 0): void {
  const { atime, mtime } = statSync(path)
  const fd = openSync(path, 'r+')
  writeSync(fd, bytes, 0, bytes.length, at)
  closeSync(fd)
  utimesSync(path, atime, mtime)
}

function parts({ damaged }: VerifyResult): string[] {
  return damaged.map(({ of, part, problem }) => `${of}: ${part} ${problem}`).sort()
}

test('nothing is damaged where nothing was done, and every inode is read once', async () => {
  using copy = copied()
  const result = await verify(undefined, { repair: false }, hostIn(copy.host.folder, countedSource(image)))
  assert.deepEqual([result.damaged, result.files, result.remaining], [[], 4, 0])
  assert.deepEqual([result.images, result.containers], [1, 2])
  assert.equal(lstatSync(join(copy.host.root, 'usr/big')).nlink, 3)
})

const sharedMetadata = 'has another owner, mode, time or attribute'
/** What is done, what is found of the whole host, and the layers that mending asks for. */
const damages: [what: string, damage: (host: Host) => void, found: (string | RegExp)[], fetched: string[]][] = [
  [
    'a bit that flipped in a shared file',
    ({ root }) => overwrite(join(root, 'usr/big'), Buffer.from('y'), 1_500_000),
    [`${name}: /usr/big has another content`, 'one: /usr/big has another content', 'two: /usr/big has another content'],
    [baseBlob],
  ],
  [
    'a file that a power cut left full of zeros',
    ({ root }) => overwrite(join(root, 'usr/small'), Buffer.alloc(5)),
    [
      `${name}: /usr/small has another content`,
      'one: /usr/small has another content',
      'two: /usr/small has another content',
    ],
    [baseBlob],
  ],
  [
    'a file that was cut',
    ({ root }) => truncateSync(join(root, 'usr/cap'), 2),
    [`${name}: /usr/cap has another size`, 'one: /usr/cap has another size', 'two: /usr/cap has another size'],
    [upperBlob],
  ],
  [
    'another mode of a shared file',
    ({ root }) => chmodSync(join(root, 'usr/small'), 0o777),
    [`${name}: /usr/small ${sharedMetadata}`, `one: /usr/small ${sharedMetadata}`, `two: /usr/small ${sharedMetadata}`],
    [],
  ],
  [
    'another owner and another attribute of a shared file',
    ({ root }) => {
      lchownSync(join(root, 'usr/small'), 7, 7)
      setExtendedAttribute(Buffer.from(join(root, 'usr/small')), Buffer.from('user.z'), Buffer.from('z'))
    },
    [`${name}: /usr/small ${sharedMetadata}`, `one: /usr/small ${sharedMetadata}`, `two: /usr/small ${sharedMetadata}`],
    [],
  ],
  [
    'another time of a shared file',
    ({ root }) => utimesSync(join(root, 'usr/small'), 5, 5),
    [`${name}: /usr/small ${sharedMetadata}`, `one: /usr/small ${sharedMetadata}`, `two: /usr/small ${sharedMetadata}`],
    [],
  ],
  [
    'an object that is gone, and is in checkouts',
    (host) => rmSync(objectOf(host, '/usr/big')),
    [`${name}: /usr/big is missing`],
    [],
  ],
  [
    'objects that are gone altogether',
    ({ store }) => rmSync(join(store, 'objects'), { recursive: true }),
    [
      `${name}: /etc/one is missing`,
      `${name}: /usr/big is missing`,
      `${name}: /usr/cap is missing`,
      `${name}: /usr/small is missing`,
    ],
    [],
  ],
  [
    'layer trees that are gone',
    ({ store }) => rmSync(join(store, 'layers'), { recursive: true }),
    [
      /^example.org\/app:1: the layer sha256:\w+ is missing or damaged$/,
      /^example.org\/app:1: the layer sha256:\w+ is missing or damaged$/,
      /one.0 cannot be compared before its image is whole$/,
      /two.0 cannot be compared before its image is whole$/,
    ],
    [baseBlob, upperBlob],
  ],
  [
    'manifest and configuration that are gone',
    ({ store }) => rmSync(join(store, 'blobs'), { recursive: true }),
    [/configuration sha256:\w+ is missing or damaged$/, /manifest sha256:\w+ is missing or damaged$/],
    [image.imageIds[0] ?? ''],
  ],
  [
    'a file removed from a checkout',
    ({ root }) => rmSync(join(root, 'usr/big')),
    [/one: \/usr has another owner/, 'one: /usr/big is missing'],
    [],
  ],
  [
    'a folder removed from a checkout',
    ({ root }) => rmSync(join(root, 'usr'), { recursive: true }),
    [/one: \/ has another owner/, 'one: /usr is missing'],
    [],
  ],
  [
    'extra files in a checkout',
    ({ root }) => {
      mkdirSync(join(root, 'usr/more'))
      writeFileSync(join(root, 'usr/more/file'), 'x')
    },
    [/one: \/usr has another owner/, 'one: /usr/more is not of the image'],
    [],
  ],
  [
    'a link that was replaced',
    ({ root }) => {
      rmSync(join(root, 'usr/link'))
      symlinkSync('/etc/passwd', join(root, 'usr/link'))
    },
    [/one: \/usr has another owner/, 'one: /usr/link leads elsewhere'],
    [],
  ],
  [
    'a folder that became a link to a folder of the host',
    ({ root, folder }) => {
      mkdirSync(join(folder, 'outside'))
      renameSync(join(root, 'etc'), join(folder, 'aside'))
      symlinkSync(join(folder, 'outside'), join(root, 'etc'))
    },
    [/one: \/ has another owner/, 'one: /etc is something else'],
    [],
  ],
  [
    'a file that became a folder',
    ({ root }) => {
      rmSync(join(root, 'usr/small'))
      mkdirSync(join(root, 'usr/small/deep'), { recursive: true })
    },
    [/one: \/usr has another owner/, 'one: /usr/small is something else'],
    [],
  ],
  [
    'a hard link that became a file of its own',
    ({ root }) => {
      const two = join(root, 'etc/two')
      const bytes = readFileSync(two)
      rmSync(two)
      writeFileSync(two, bytes)
    },
    [/one: \/etc has another owner/, 'one: /etc/two is a file apart from its other names'],
    [],
  ],
  ['another mode of a folder', ({ root }) => chmodSync(join(root, 'usr'), 0o700), [/one: \/usr has another owner/], []],
]

describe('verify', () => {
  for (const [what, damage, found, fetched] of damages) {
    test(`finds and mends ${what}`, async () => {
      using copy = copied()
      const { host } = copy
      damage(host)
      const source = countedSource(image)
      const notices: string[] = []
      const context = hostIn(host.folder, source, notices)
      const seen = await verify(undefined, { repair: false }, context)
      assert.equal(seen.remaining, found.length, parts(seen).join('\n'))
      for (const [index, part] of parts(seen).entries()) {
        const wanted = found[index]
        if (wanted instanceof RegExp) assert.match(part, wanted)
        else assert.equal(part, wanted)
      }
      const mended = await verify(undefined, { repair: true }, context)
      assert.deepEqual(parts({ ...mended, damaged: mended.damaged.filter(({ repaired }) => !repaired) }), [])
      assert.equal(mended.remaining, 0)
      assert.ok(mended.actions.length > 0)
      const layers = [baseBlob, upperBlob]
      const wanted = fetched.filter((digest) => layers.includes(digest))
      assert.deepEqual([...new Set(source.asked)].filter((digest) => layers.includes(digest)).sort(), wanted.sort())
      assert.deepEqual((await verify(undefined, { repair: false }, context)).damaged, [])
      assert.ok(!readdirSync(host.store).some((entry) => entry.startsWith('.')))
      assert.equal(readFileSync(join(host.root, 'usr/small'), 'utf8'), 'small')
      // One inode serves the store and both checkouts again.
      assert.equal(lstatSync(join(host.root, 'usr/big')).nlink, lstatSync(join(host.other, 'usr/big')).nlink)
    })
  }
})

test('what lies outside is never touched by mending a checkout', async () => {
  using copy = copied()
  const { root, folder } = copy.host
  mkdirSync(join(folder, 'outside'))
  writeFileSync(join(folder, 'outside/one'), 'mine')
  rmSync(join(root, 'etc'), { recursive: true })
  symlinkSync(join(folder, 'outside'), join(root, 'etc'))
  rmSync(join(copy.host.store, 'objects'), { recursive: true })
  const result = await verify('one', { repair: true }, hostIn(folder, countedSource(image)))
  assert.equal(result.remaining, 0)
  assert.equal(readFileSync(join(folder, 'outside/one'), 'utf8'), 'mine')
})

test('files that are alike stay apart, and names of one file one, when their folders are made anew', async () => {
  using folder = scratch()
  const deep = Array.from({ length: 20 }, () => 'd'.repeat(250)).join('/')
  const special = assembleImage([
    await packLayer({
      'a/x': 'linked',
      'b/x': { type: 'link', target: 'a/x' },
      'c/one': 'alike',
      'c/two': 'alike',
      [`${deep}/file`]: 'at the end of a long path',
    }),
  ])
  const notices: string[] = []
  const context = hostIn(folder.path, countedSource(special), notices)
  const { manifest } = (await pullImage(parseLocation(name), {}, context)).record
  await deploy('one', manifest, context)
  assert.deepEqual((await verify(undefined, { repair: false }, context)).damaged, [])
  const root = join(context.paths.containers, 'one/rootfs')
  for (const gone of ['a', 'b', 'c', 'd'.repeat(250)]) rmSync(join(root, gone), { recursive: true })
  assert.equal((await verify(undefined, { repair: true }, context)).remaining, 0, notices.join('\n'))
  const inode = (path: string): number => lstatSync(join(root, path)).ino
  assert.equal(inode('a/x'), inode('b/x'))
  assert.notEqual(inode('c/one'), inode('c/two'))
})

test('a file that another checkout has whole needs no registry', async () => {
  using copy = copied()
  const { host } = copy
  const aside = join(host.other, 'usr/big')
  const bytes = readFileSync(aside)
  const { atime, mtime } = statSync(aside)
  rmSync(aside)
  writeFileSync(aside, bytes)
  utimesSync(aside, atime, mtime)
  overwrite(join(host.root, 'usr/big'), Buffer.from('y'))
  const unreachable = { ...countedSource(image), manifest: () => Promise.reject(new Error('must not be asked')) }
  const result = await verify(undefined, { repair: true }, hostIn(host.folder, unreachable))
  assert.equal(result.remaining, 0)
})

test('a registry that is down leaves the damage, and says so', async () => {
  using copy = copied()
  const { host } = copy
  overwrite(join(host.root, 'usr/big'), Buffer.from('y'))
  const { ForerunError } = await import('../../../src/errors.ts')
  const down = { ...countedSource(image), manifest: () => Promise.reject(new ForerunError('registry', 'no route')) }
  const notices: string[] = []
  const result = await verify(undefined, { repair: true }, hostIn(host.folder, down, notices))
  assert.equal(result.remaining, 3)
  assert.ok(notices.includes(`'${name}' cannot be fetched again: no route`), notices.join('\n'))
  assert.ok(!readdirSync(host.store).some((entry) => entry.startsWith('.')))
})

test('a name that stands for another image now mends nothing', async () => {
  using copy = copied()
  const { host } = copy
  overwrite(join(host.root, 'usr/big'), Buffer.from('y'))
  const notices: string[] = []
  const other = assembleImage([base], { config: { Labels: { version: '2' } } })
  const result = await verify(undefined, { repair: true }, hostIn(host.folder, countedSource(other), notices))
  assert.equal(result.remaining, 3)
  assert.match(notices.join('\n'), /is another image now/)
})

test('a damaged list of images is made anew of manifests and deployments', async () => {
  using copy = copied()
  const { host } = copy
  truncateSync(join(host.store, 'images.json'), 20)
  const context = hostIn(host.folder, countedSource(image))
  await assert.rejects(verify(undefined, { repair: false }, context), { code: 'store', message: /images.json/ })
  const result = await verify(undefined, { repair: true }, context)
  assert.deepEqual([result.remaining, result.images, result.actions.length], [0, 1, 1])
  assert.deepEqual(readImageIndex(host.store)[0]?.names, [name])
})

test('a store that is gone is pulled again, as the image that the containers have', async () => {
  using copy = copied()
  const { host } = copy
  rmSync(host.store, { recursive: true })
  const context = hostIn(host.folder, countedSource(image))
  assert.equal((await verify(undefined, { repair: false }, context)).remaining, 2)
  assert.equal((await verify(undefined, { repair: true }, context)).remaining, 0)
})

test('one container or one image can be looked at alone', async () => {
  using copy = copied()
  const { host } = copy
  chmodSync(join(host.root, 'usr'), 0o700)
  const context = hostIn(host.folder, countedSource(image))
  assert.equal((await verify('one', { repair: false }, context)).remaining, 1)
  assert.equal((await verify('two', { repair: false }, context)).remaining, 0)
  assert.equal((await verify(name, { repair: false }, context)).remaining, 0)
  await assert.rejects(verify('three', { repair: false }, context), { code: 'image-not-found' })
})

test('a deployment whose info is damaged is told of', async () => {
  using copy = copied()
  const { host } = copy
  truncateSync(join(host.root, '../info'), 5)
  linkSync(join(host.root, '../info'), join(host.folder, 'kept'))
  const result = await verify(undefined, { repair: true }, hostIn(host.folder, countedSource(image)))
  assert.equal(result.remaining, 1)
  assert.match(parts(result)[0] ?? '', /info' is damaged or missing/)
})

test('a list of images that is gone is no reason to prune what containers need', async () => {
  using copy = copied()
  const context = hostIn(copy.host.folder, countedSource(image))
  rmSync(join(copy.host.store, 'images.json'))
  await assert.rejects(pruneImages(context), { code: 'store', message: /lost the image of the container 'one'$/ })
  await verify(undefined, { repair: true }, context)
  await pruneImages(context)
  const { remaining } = await verify(undefined, { repair: false }, context)
  assert.equal(remaining, 0)
})
