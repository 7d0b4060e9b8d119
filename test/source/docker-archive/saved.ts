import { createHash } from 'node:crypto'
import type { Layer, LayerFile } from '../../lab/layer.ts'

/** The files of what `docker save` writes for one image, manifest.json last. */
export function savedFiles(
  layers: readonly Layer[],
  options: { names: readonly string[] | null; folder?: string; layerName?: (index: number) => string },
): Record<string, LayerFile> {
  const { names, folder = '', layerName = (index) => `${folder}${index}/layer.tar` } = options
  const configuration = JSON.stringify({
    os: 'linux',
    architecture: process.arch === 'x64' ? 'amd64' : process.arch,
    config: { Cmd: ['/x'] },
    rootfs: { type: 'layers', diff_ids: layers.map(({ diffId }) => diffId) },
  })
  const hex = createHash('sha256').update(configuration).digest('hex')
  const entry = { Config: `${hex}.json`, RepoTags: names, Layers: layers.map((_, index) => layerName(index)) }
  return {
    ...Object.fromEntries(layers.map(({ bytes }, index) => [layerName(index), bytes])),
    [`${hex}.json`]: configuration,
    'manifest.json': JSON.stringify([entry]),
  }
}
