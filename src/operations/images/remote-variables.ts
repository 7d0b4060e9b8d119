import { readAtMost } from '../../host/read-at-most.ts'
import { copiesElsewhere, parseConfigurationDetails } from '../../image/configuration-details.ts'
import type { Descriptor } from '../../image/descriptor.ts'
import type { Digest } from '../../image/digest.ts'
import type { LayerTotals } from '../../image/layer-limits.ts'
import { largestText, refuseLargeText, textBudget } from '../../image/text-limits.ts'
import { exportsReader } from '../../layer/exports-reader.ts'
import { readLayer } from '../../layer/read-layer.ts'
import type { ImageSource } from '../../source/source.ts'
import { readWholeLayerTree } from '../../store/layer-tree.ts'
import { objectPath } from '../../store/object.ts'
import { mergeLayers, type StoredEntry } from '../../tree/merge.ts'
import { lookUp, mergeUpperLayers, type UpperLayer, type UpperTree } from '../../tree/upper-layers.ts'
import type { Context } from '../context.ts'
import { blobBytes, type ResolvedImage } from '../lookup/resolve-image.ts'
import { type TemplateVariables, templateVariables } from './template-variables.ts'

/**
 * How a layer was looked at: fetched from the source, read from the store, or not at all: since it is empty or its history
 * says that it holds nothing of `/exports` ('elsewhere'), or since the layers above told everything ('unneeded').
 */
export type LayerLook = 'fetched' | 'stored' | 'empty' | 'elsewhere' | 'unneeded'

export interface RemoteVariables extends TemplateVariables {
  /** Of each layer, base first. */
  readonly looks: readonly LayerLook[]
  /** Bytes as transferred. */
  readonly fetched: { readonly layers: number; readonly bytes: number }
}

/**
 * What the templates of an image ask for, without pulling it: reads layers from the top until everything that can matter
 * is known. That of an image with `config.json.template` a lower layer holds a `config.json`, which would win, is not
 * looked for. Nothing is written.
 *
 * @throws ForerunError `exports`, `template`, and what reading a layer throws.
 */
export async function remoteVariables(
  image: ResolvedImage,
  source: ImageSource,
  context: Context,
): Promise<RemoteVariables> {
  const looking = lookAtLayers(image, context)
  const unread = readingOrder(looking.layers, source)
  for (;;) {
    const { found, unknown, lacking } = ask(looking)
    const next = unread.find(({ entries }) => entries === undefined)
    if (lacking.size > 0) await fetchContents(lacking, looking, { source, context })
    else if (unknown && next !== undefined) await fetchLayer(next, looking, { source, context })
    else if (unknown) unread.push(...passedOver(looking))
    else return { ...found, looks: looking.layers.map(({ look }) => look), fetched: looking.fetched }
  }
}

interface Layer {
  readonly descriptor: Descriptor
  readonly diffId: Digest
  look: LayerLook
  entries: UpperLayer | undefined
}

interface Looking {
  /** Base first. */
  readonly layers: readonly Layer[]
  /** By object, of the layers that were fetched. */
  readonly contents: Map<string, Buffer>
  readonly store: string
  readonly fetched: { layers: number; bytes: number }
}

/** What is known without the source. */
function lookAtLayers(image: ResolvedImage, { paths }: Context): Looking {
  const { manifest, configuration, configurationBytes } = image
  const { createdBy } = parseConfigurationDetails(configurationBytes, { layers: manifest.layers.length })
  const layers = manifest.layers.map((descriptor, index): Layer => {
    const diffId = configuration.diffIds[index]
    if (diffId === undefined) throw new Error(`layer ${index} has no diff id`)
    if (emptyArchives.has(diffId)) return { descriptor, diffId, look: 'empty', entries: [] }
    const stored = storedTree(paths.store, diffId)
    if (stored !== undefined) return { descriptor, diffId, look: 'stored', entries: stored }
    if (copiesElsewhere(createdBy?.[index] ?? ''))
      return { descriptor, diffId, look: 'elsewhere', entries: { leaves: 'exports' } }
    return { descriptor, diffId, look: 'unneeded', entries: undefined }
  })
  return { layers, contents: new Map(), store: paths.store, fetched: { layers: 0, bytes: 0 } }
}

/** Archives of nothing: 0, 1024 and 10240 zeros. */
const emptyArchives: ReadonlySet<string> = new Set([
  'sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855',
  'sha256:5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef',
  'sha256:84ff92691f909a05b224e1c56abb4864f01b4f8e3c854e4bb4c7baf1d3f6d652',
])

/** Whoever may not read the store looks at the image as if there were none. */
function storedTree(store: string, diffId: Digest): readonly StoredEntry[] | undefined {
  try {
    return readWholeLayerTree(store, diffId)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EACCES') return undefined
    throw error
  }
}

/** From the top; all in its own order from a source that can only be read forwards. */
function readingOrder(layers: readonly Layer[], source: ImageSource): Layer[] {
  const unread = layers.filter(({ entries }) => entries === undefined)
  const order = source.forwardOrder?.(unread.map(({ descriptor }) => descriptor))
  if (order === undefined) return unread.reverse()
  return unread.sort((a, b) => order.indexOf(a.descriptor) - order.indexOf(b.descriptor))
}

/** The layers whose history said that they hold nothing of `/exports`, when a link leads from there to what they hold. */
function passedOver({ layers }: Looking): Layer[] {
  const passed = layers.filter(({ look }) => look === 'elsewhere').reverse()
  if (passed.length === 0) throw new Error('something is unknown of an image that was read whole')
  for (const layer of passed) {
    layer.look = 'unneeded'
    layer.entries = undefined
  }
  return passed
}

interface Work {
  readonly source: ImageSource
  readonly context: Context
}

/** A layer that the image has twice is fetched once. @param wanted objects of it whose content is needed after all. */
async function fetchLayer(
  { descriptor, diffId }: Layer,
  looking: Looking,
  { source, context, wanted }: Work & { wanted?: ReadonlySet<string> },
): Promise<void> {
  const { emit, signal, settings } = context
  const { digest, size } = descriptor
  const receiver = exportsReader({ prefix: diffId, ...(wanted !== undefined && { wanted }) })
  const isFetched = descriptor.data === undefined
  if (isFetched) emit({ type: 'layer-started', digest, size, kept: 0 })
  await readLayer(
    blobBytes(source, descriptor, { signal, emit }),
    { descriptor, diffId },
    {
      receiver,
      limits: settings.limits,
      others: totalsOf(looking),
      signal,
      onReceived: (received) => emit({ type: 'layer-progress', digest, received }),
    },
  )
  if (isFetched) {
    emit({ type: 'layer-finished', digest, stored: false })
    looking.fetched.layers += 1
    looking.fetched.bytes += size
  }
  for (const [object, content] of receiver.contents) looking.contents.set(object, content)
  for (const layer of looking.layers) {
    if (layer.diffId !== diffId || layer.entries !== undefined) continue
    layer.entries = receiver.entries
    layer.look = 'fetched'
  }
}

/** Of the layers that are known. */
function totalsOf({ layers }: Looking): LayerTotals {
  const known = layers.flatMap(({ entries }) => (entries === undefined || 'leaves' in entries ? [] : [entries]))
  return {
    entries: known.reduce((sum, { length }) => sum + length, 0),
    size: known.flat().reduce((sum, entry) => sum + (entry.kind === 'file' ? entry.size : 0), 0),
  }
}

/** What the layers that were read, from the top without a gap, tell. */
function ask({ layers, contents, store }: Looking): {
  found: TemplateVariables
  /** Whether the layers below may tell otherwise. */
  unknown: boolean
  /** Objects without which nothing can be told. */
  lacking: ReadonlySet<string>
} {
  const gap = layers.findLastIndex(({ entries }) => entries === undefined)
  const tree = treeOf(layers.slice(gap + 1), { isLowest: gap < 0 })
  const unknown = new Set<string>()
  const lacking = new Set<string>()
  const spend = textBudget('The texts of the image')
  const found = templateVariables({
    read(path) {
      const node = lookUp(tree, path)
      if (node === 'unknown' && !isOverruled(path, tree)) unknown.add(path)
      if (node === 'unknown' || node?.kind !== 'file') return undefined
      refuseLargeText(path, node.size)
      const content = isStored(node.object)
        ? readAtMost(objectPath(store, node.object), largestText)
        : contents.get(node.object)
      if (content === undefined) lacking.add(node.object)
      else spend(content.length)
      return content
    },
  })
  const isService = (path: string): boolean => serviceFiles.includes(path)
  const mattering = found.noContainerService ? [...unknown].filter((path) => !isService(path)) : [...unknown]
  return { found, unknown: mattering.length > 0, lacking }
}

function treeOf(layers: readonly Layer[], options: { isLowest: boolean }): UpperTree {
  const read = layers.flatMap(({ entries }) => (entries === undefined || 'leaves' in entries ? [] : [entries]))
  if (options.isLowest && read.length === layers.length)
    return { root: mergeLayers(read), others: new WeakMap(), hasStrays: false }
  return mergeUpperLayers(
    layers.flatMap(({ entries }) => (entries === undefined ? [] : [entries])),
    options,
  )
}

/** A template over a configuration that wins would never be used, so that whoever put it there had none below. */
function isOverruled(path: string, tree: UpperTree): boolean {
  if (path !== '/exports/config.json') return false
  const template = lookUp(tree, `${path}.template`)
  return template !== 'unknown' && template?.kind === 'file'
}

const serviceFiles = [
  '/exports/config.json',
  '/exports/config.json.template',
  '/exports/service.template',
  '/exports/tmpfiles.template',
]

/** Content that was not kept: of large files, and of those that links from `/exports` lead to. */
async function fetchContents(objects: ReadonlySet<string>, looking: Looking, work: Work): Promise<void> {
  for (const diffId of new Set([...objects].map((object) => object.slice(0, object.indexOf('/'))))) {
    const layer = looking.layers.find((candidate) => candidate.diffId === diffId)
    if (layer === undefined) throw new Error(`no layer ${diffId}`)
    await fetchLayer(layer, looking, { ...work, wanted: objects })
  }
}

function isStored(object: string): boolean {
  return !object.includes('/')
}
