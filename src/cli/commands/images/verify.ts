import type { Command } from 'commander'
import type { SourceOptions } from '../../../operations/context.ts'
import type { VerifiedImage } from '../../../operations/images/verify-image.ts'
import { shortDigest } from '../../output/event-line.ts'
import { printable } from '../../output/printable.ts'
import { formatSize } from '../../output/size.ts'
import { perform, resultCommand, type Session } from '../../session.ts'
import { withSourceOptions } from '../options.ts'
import { versionText } from './version-text.ts'

export function verifyCommand(session: Session): Command {
  const verify = resultCommand('verify', {
    summary: 'check a stored image for damage, and its registry for a newer one; the status tells of damage only',
    examples: ['forerun images verify etcd', 'forerun images verify --no-validate registry.example.com/etcd:3.5'],
  })
    .argument('<IMAGE>', 'name or id of a stored image')
    .option('--no-validate', 'only ask the registry')
  return withSourceOptions(verify).action((image: string, options: SourceOptions & { validate: boolean }) =>
    perform(
      session,
      async (context) => {
        const { verifyImage } = await import('../../../operations/images/verify-image.ts')
        return verifyImage(image, options, context)
      },
      describe,
    ),
  )
}

function describe({ image, manifest, version, files, registry }: VerifiedImage): string {
  const lines = [`${image} (${shortDigest(manifest)}): ${versionText(version)}`]
  if (files !== undefined) lines.push(`Undamaged: ${files} files are what they were`)
  if (registry.state === 'current') lines.push('Up to date')
  if (registry.state === 'unknown') lines.push(`Not known whether there is a newer one: ${printable(registry.reason)}`)
  if (registry.state === 'newer') {
    const size = formatSize(registry.layers.reduce((sum, layer) => sum + layer.size, 0))
    lines.push(`Newer available (${shortDigest(registry.manifest)}): ${versionText(registry.version)}`)
    lines.push(`Layers to fetch: ${registry.layers.length}, ${size}`)
    lines.push(...registry.layers.map((layer) => `  ${layer.digest} ${formatSize(layer.size)}`))
  }
  return lines.join('\n')
}
