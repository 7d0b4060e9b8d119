import type { Command } from 'commander'
import type { ImageInspection } from '../../../operations/images/inspect-image.ts'
import { printable } from '../../output/printable.ts'
import { formatSize } from '../../output/size.ts'
import { perform, resultCommand, type Session } from '../../session.ts'
import { type LookOptions, withLookOptions } from './look-options.ts'

export function infoCommand(session: Session): Command {
  const info = resultCommand('info', {
    summary: 'print the labels of an image and the variables of its templates',
    examples: ['forerun images info etcd', 'forerun images info --remote registry.example.com/etcd:3.5'],
  })
  return withLookOptions(info).action((image: string, { remote = false, ...options }: LookOptions) =>
    perform(
      session,
      async (context) => {
        const { inspectImage } = await import('../../../operations/images/inspect-image.ts')
        return inspectImage(image, { ...options, remote }, context)
      },
      describe,
    ),
  )
}

/** The labels and the two headings are those of Project Atomic's tool. */
function describe(image: ImageInspection): string {
  const platforms = new Set(image.platforms.map(({ platform, mediaType }) => platform ?? mediaType))
  return [
    `Image Name: ${image.names.join(', ') || '<none>'}`,
    `Image Id: ${image.id}`,
    `Digest: ${image.digest}`,
    ...(image.created === undefined ? [] : [`Created: ${printable(image.created)}`]),
    `Platforms: ${printable([...platforms].join(', '))}`,
    `Size: ${formatSize(image.size)} in ${layerCount(image.layers.length)}`,
    ...pairs(image.labels),
    ...section('Template variables with default value, but overridable with --set:', pairs(image.variables)),
    ...section(
      'Template variables that has no default value, and must be set with --set:',
      image.required.map(withoutDefault),
    ),
    ...(image.fetched === undefined ? [] : ['', fetchedLine(image.fetched, image.layers.length)]),
  ].join('\n')
}

function pairs(values: Readonly<Record<string, string>>): string[] {
  return Object.entries(values).map(([key, value]) => `${printable(key)}: ${printable(value)}`)
}

/** As Project Atomic's tool wrote it, and scripts look for it. */
function withoutDefault(variable: string): string {
  return `${variable}: {DEF_VALUE}`
}

function section(heading: string, lines: readonly string[]): string[] {
  return lines.length === 0 ? [] : ['', heading, ...lines]
}

function fetchedLine({ layers, bytes }: { layers: number; bytes: number }, all: number): string {
  return `Fetched for this: ${layers} of ${layerCount(all)}, ${formatSize(bytes)}`
}

function layerCount(count: number): string {
  return count === 1 ? '1 layer' : `${count} layers`
}
