import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { parseLocation } from '../../../src/image/location.ts'
import { type ImageInspection, inspectImage } from '../../../src/operations/images/inspect-image.ts'
import { pullImage } from '../../../src/operations/transfer/pull.ts'
import { assembleImage, type LabImage } from '../../lab/image.ts'
import { type Layer, type LayerFiles, packLayer } from '../../lab/layer.ts'
import { scratch } from '../../store/scratch.ts'
import { type CountedSource, contextIn, countedSource } from '../image-source.ts'

const base = { usr: { type: 'directory' }, 'usr/app': 'a program' } as const
const folder = { type: 'directory' } as const
const complete = {
  exports: folder,
  'exports/manifest.json': '{"version": "1.0", "defaultValues": {"A": "1"}}',
  'exports/config.json.template': '{"a": "$A", "b": "$B"}',
  'exports/service.template': '$NAME $C',
  'exports/tmpfiles.template': '',
} as const

interface Looked extends ImageInspection {
  readonly source: CountedSource
  readonly layerLooks: (string | undefined)[]
}

async function look(image: LabImage, options: { forwards?: boolean } = {}): Promise<Looked> {
  using place = scratch()
  const source = countedSource(image, options)
  const inspection = await inspectImage('example.org/app:1', { remote: true }, contextIn(place.path, source))
  assert.equal(existsSync(join(place.path, 'store')), false)
  return { ...inspection, source, layerLooks: inspection.layers.map((layer) => layer.look) }
}

async function imageOf(...layers: (LayerFiles | Layer)[]): Promise<LabImage> {
  const packed = await Promise.all(layers.map((layer) => ('diffId' in layer ? (layer as Layer) : packLayer(layer))))
  return assembleImage(packed)
}

/** What the image says when all of it is read, base first. */
async function told(image: LabImage): Promise<Pick<ImageInspection, 'variables' | 'required'>> {
  const { variables, required } = await look(image, { forwards: true })
  return { variables, required }
}

describe('layers are read from the top until all is known', () => {
  const cases: [string, LayerFiles[], (string | undefined)[]][] = [
    ['one layer that has everything', [base, { 'etc/x': 'x' }, complete], ['unneeded', 'unneeded', 'fetched']],
    [
      'two layers that have it together',
      [
        base,
        { exports: folder, 'exports/tmpfiles.template': 'd $D' },
        { ...complete, 'exports/tmpfiles.template': { type: 'symlink', target: 'none' } },
      ],
      ['fetched', 'fetched', 'fetched'],
    ],
    [
      'a file for which the next layer has to be read',
      [base, { exports: folder, 'exports/tmpfiles.template': 'd $D' }, without(complete, 'exports/tmpfiles.template')],
      ['unneeded', 'fetched', 'fetched'],
    ],
    ['a file that is nowhere', [base, without(complete, 'exports/tmpfiles.template')], ['fetched', 'fetched']],
    [
      'an opaque directory',
      [base, { exports: folder, 'exports/.wh..wh..opq': '', 'exports/service.template': '$S' }],
      ['unneeded', 'fetched'],
    ],
    ['a directory that was removed', [complete, { '.wh.exports': '' }], ['unneeded', 'fetched']],
    [
      'a file that was removed',
      [
        complete,
        { ...complete, 'exports/tmpfiles.template': 'x', 'exports/.wh.y': '' },
        {
          exports: folder,
          'exports/.wh.service.template': '',
        },
      ],
      ['unneeded', 'fetched', 'fetched'],
    ],
    [
      'an image of host files only',
      [
        base,
        {
          exports: folder,
          'exports/manifest.json': '{"noContainerService": true, "defaultValues": {"A": "1"}}',
        },
      ],
      ['unneeded', 'fetched'],
    ],
    [
      'an installed file that is a template, in a lower layer',
      [
        base,
        { exports: folder, 'exports/hostfs': folder, 'exports/hostfs/etc': folder, 'exports/hostfs/etc/x': '$HOST' },
        { ...complete, 'exports/manifest.json': '{"installedFilesTemplate": ["/etc/x"]}' },
      ],
      ['unneeded', 'fetched', 'fetched'],
    ],
    ['a directory that no layer lists', [base, without(complete, 'exports')], ['fetched', 'fetched']],
    [
      'a directory that is a link',
      [{ real: folder, 'real/service.template': '$R' }, { exports: { target: 'real' } }],
      ['fetched', 'fetched'],
    ],
    [
      'a hard link into a lower layer',
      [
        { usr: folder, 'usr/unit': '$HARD' },
        { ...complete, 'exports/service.template': { type: 'link', target: 'usr/unit' } },
      ],
      ['fetched', 'fetched'],
    ],
    [
      'a symbolic link into a lower layer',
      [
        { usr: folder, 'usr/unit': '$SOFT' },
        { ...complete, 'exports/service.template': { target: '/usr/unit' } },
      ],
      ['fetched', 'fetched'],
    ],
    ['no /exports at all', [base, { 'etc/x': 'x' }], ['fetched', 'fetched']],
  ]
  for (const [what, layers, looks] of cases) {
    test(what, async () => {
      const image = await imageOf(...layers)
      const { layerLooks, variables, required, fetched, source } = await look(image)
      assert.deepEqual(layerLooks, looks)
      assert.deepEqual({ variables, required }, await told(image))
      assert.ok((fetched?.layers ?? 0) >= looks.filter((each) => each === 'fetched').length)
      assert.equal(source.asked.length, 1 + (fetched?.layers ?? 0))
    })
  }
})

test('a pulled image says the same', async () => {
  using place = scratch()
  const files = { ...complete, 'exports/hostfs': folder, 'exports/hostfs/x': '$X' }
  const image = await imageOf(base, { ...files, 'exports/manifest.json': '{"installedFilesTemplate": ["/x"]}' })
  const context = contextIn(place.path, countedSource(image))
  await pullImage(parseLocation('example.org/app:1'), {}, context)
  const { fetched: _, ...remote } = await inspectImage('example.org/app:1', { remote: true }, context)
  const stored = await inspectImage('example.org/app:1', { remote: false }, context)
  const layers = remote.layers.map(({ look: _look, ...layer }) => layer)
  assert.deepEqual({ ...remote, layers }, stored)
  assert.deepEqual(stored.required, ['A', 'B', 'C', 'X'])
})

test('figures are those of the fetched layers alone, and nothing else is asked for', async () => {
  const top = await packLayer(complete)
  const image = await imageOf(await packLayer({ big: Buffer.alloc(1_000_000, 'x') }, { compression: 'none' }), top)
  const { fetched, required, variables, source } = await look(image)
  assert.deepEqual(fetched, { layers: 1, bytes: top.bytes.length })
  assert.deepEqual([required, variables], [['B', 'C'], { A: '1' }])
  assert.deepEqual(source.asked.map((digest) => image.blobs.get(digest)?.length).slice(1), [top.bytes.length])
})

test('content outside /exports to which a link leads is fetched in a second reading', async () => {
  const image = await imageOf(base, {
    ...complete,
    usr: folder,
    'usr/unit': '$FAR',
    'exports/service.template': { target: '/usr/unit' },
  })
  const { required, fetched, layerLooks } = await look(image)
  assert.ok(required.includes('FAR'))
  assert.equal(fetched?.layers, 2)
  assert.deepEqual(layerLooks, ['unneeded', 'fetched'])
})

test('a template of more than 4 MiB is refused, another file of that size is not', async () => {
  const huge = Buffer.alloc(5 * 1024 * 1024, 'x')
  const other = await look(await imageOf({ ...complete, 'exports/hostfs': folder, 'exports/hostfs/program': huge }))
  assert.deepEqual(other.required, ['B', 'C'])
  await assert.rejects(look(await imageOf({ ...complete, 'exports/service.template': huge })), { code: 'limit' })
})

test('a layer that lies is not believed', async () => {
  const top = await packLayer(complete)
  const image = await imageOf(base, { ...top, diffId: `sha256:${'0'.repeat(64)}` })
  await assert.rejects(look(image), { code: 'digest' })
})

test('layers that are in the store are not fetched', async () => {
  using place = scratch()
  const lower = await packLayer(base)
  const upper = await packLayer(without(complete, 'exports/tmpfiles.template'))
  const stored = contextIn(place.path, countedSource(assembleImage([lower])))
  await pullImage(parseLocation('example.org/base:1'), {}, stored)
  const source = countedSource(assembleImage([lower, upper]))
  const { layers, fetched, required } = await inspectImage(
    'example.org/app:1',
    { remote: true },
    contextIn(place.path, source),
  )
  assert.deepEqual(
    layers.map((layer) => layer.look),
    ['stored', 'fetched'],
  )
  assert.deepEqual([fetched, required], [{ layers: 1, bytes: upper.bytes.length }, ['B', 'C']])
})

test('a source that can only be read forwards is read in its order', async () => {
  const image = await imageOf(base, complete)
  const { source, required, layerLooks } = await look(image, { forwards: true })
  assert.deepEqual(required, ['B', 'C'])
  assert.deepEqual(layerLooks, ['fetched', 'fetched'])
  assert.deepEqual(source.asked.slice(1), [...image.blobs.keys()].slice(0, 2))
})

describe('of a layer whose history says that it was copied elsewhere', () => {
  const partial = without(complete, 'exports/tmpfiles.template')
  test('nothing is read', async () => {
    const image = await withHistory([base, { 'usr/x': 'x' }, partial], ['COPY / /', 'COPY a /usr/ # buildkit', 'x'])
    const { layerLooks, required } = await look(image)
    assert.deepEqual(layerLooks, ['fetched', 'elsewhere', 'fetched'])
    assert.deepEqual(required, ['B', 'C'])
  })
  test('it is read when a link leads there', async () => {
    const linked = { ...partial, 'exports/service.template': { target: '/usr/unit' } }
    const image = await withHistory([{ usr: folder, 'usr/unit': '$FAR' }, linked], ['COPY a /usr/', 'x'])
    const { layerLooks, required } = await look(image)
    assert.deepEqual(layerLooks, ['fetched', 'fetched'])
    assert.ok(required.includes('FAR'))
  })
  test('a history that does not tell of every layer says nothing', async () => {
    const image = await withHistory([{ 'usr/x': 'x' }, partial], ['COPY a /usr/'])
    assert.deepEqual((await look(image)).layerLooks, ['fetched', 'fetched'])
  })
})

test('an index tells all of its platforms', async () => {
  const layer = await packLayer(complete)
  const platforms = [`linux/${process.arch === 'x64' ? 'amd64' : process.arch}`, 'linux/riscv64', 'linux/s390x']
  const image = assembleImage([layer], { platforms, annotations: { note: 'here' } })
  const found = await look(image)
  assert.deepEqual(
    found.platforms.map(({ platform }) => platform),
    platforms,
  )
  assert.deepEqual([found.digest, found.annotations], [image.digest, { note: 'here' }])
  assert.equal(found.manifest, found.platforms[0]?.digest)
})

function without(files: LayerFiles, path: string): LayerFiles {
  return Object.fromEntries(Object.entries(files).filter(([name]) => name !== path))
}

async function withHistory(layers: readonly LayerFiles[], steps: readonly string[]): Promise<LabImage> {
  const history = steps.map((step) => ({ created_by: step }))
  return assembleImage(await Promise.all(layers.map((files) => packLayer(files))), { history })
}
