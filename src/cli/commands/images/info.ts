import type { Command } from 'commander'
import type { ImagePrivileges } from '../../../operations/containers/image-privileges.ts'
import type { ImageInspection } from '../../../operations/images/inspect-image.ts'
import { hostFileLine } from '../../output/host-file-line.ts'
import { printable } from '../../output/printable.ts'
import { privilegeLines } from '../../output/privilege-lines.ts'
import { formatSize } from '../../output/size.ts'
import { perform, resultCommand, type Session } from '../../session.ts'
import { type LookOptions, withLookOptions } from './look-options.ts'

export function infoCommand(session: Session): Command {
  const info = resultCommand('info', {
    summary: 'print the labels of an image, the variables of its templates, and what it may do once it is installed',
    examples: ['forerun images info etcd', 'forerun images info --remote registry.example.com/etcd:3.5'],
  })
  return withLookOptions(info).action((image: string, { remote = false, ...options }: LookOptions) =>
    perform(
      session,
      async (context) => {
        const { inspectImage } = await import('../../../operations/images/inspect-image.ts')
        const inspection = await inspectImage(image, { ...options, remote }, context)
        if (remote) return inspection
        const { imagePrivileges } = await import('../../../operations/containers/image-privileges.ts')
        return { ...inspection, installed: imagePrivileges(image, context) }
      },
      describe,
    ),
  )
}

/** The labels and the two headings are those of Project Atomic's tool. */
function describe(image: ImageInspection & { installed?: ImagePrivileges }): string {
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
    ...(image.installed === undefined ? [] : installed(image.installed)),
    ...(image.fetched === undefined ? [] : ['', fetchedLine(image.fetched, image.layers.length)]),
  ].join('\n')
}

/** A remote image is not read that far. */
function installed({ privileges, hostFiles, open, problem }: ImagePrivileges): string[] {
  const variables = open.map((name) => `$${name}`).join(', ')
  if (privileges === null) {
    return section('What it may do, once installed, is not known:', [
      printable(problem ?? ''),
      ...(open.length === 0 ? [] : [`Variables without a value: ${variables}`]),
    ])
  }
  const values = open.length === 0 ? 'with default values' : `with default values, and ${variables} for those without`
  return [
    ...section(`Privileges once installed (${values}; ! gives power over the host):`, privilegeLines(privileges)),
    ...section('Files on the host once installed:', hostFiles.map(hostFileLine)),
  ]
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
