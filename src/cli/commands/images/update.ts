import type { Command } from 'commander'
import { ForerunError } from '../../../errors.ts'
import type { SourceOptions } from '../../../operations/context.ts'
import type { UpdatedImage } from '../../../operations/images/update-images.ts'
import { shortDigest } from '../../output/event-line.ts'
import { printable } from '../../output/printable.ts'
import { perform, resultCommand, type Session } from '../../session.ts'
import { withSourceOptions } from '../options.ts'

export function updateCommand(session: Session): Command {
  const update = resultCommand('update', {
    summary: 'pull what registries have now under the names of stored images; containers stay as they are',
    examples: ['forerun images update etcd', 'forerun images update --all'],
  })
    .argument('[IMAGE...]', 'names or ids of stored images')
    .option('-a, --all', 'all stored images')
  return withSourceOptions(update).action(
    async (images: string[], { all = false, ...options }: SourceOptions & { all?: boolean }) => {
      checkWords(images, all)
      await perform(
        session,
        async (context) => {
          const { updateImages } = await import('../../../operations/images/update-images.ts')
          const results = await updateImages(all ? [] : images, options, context)
          if (results.some(({ outcome }) => outcome === 'failed')) process.exitCode = 1
          return results
        },
        (results) => results.map(describe).join('\n'),
      )
    },
  )
}

function checkWords(images: readonly string[], all: boolean): void {
  if (images.length > 0 !== all) return
  throw new ForerunError('usage', all ? '--all and names at once' : 'no image is named', {
    hint: 'Name images, or say --all for all stored ones.',
  })
}

function describe(image: UpdatedImage): string {
  switch (image.outcome) {
    case 'updated':
      return `${image.name}: updated from ${shortDigest(image.from)} to ${shortDigest(image.to)}`
    case 'current':
      return `${image.name}: up to date (${shortDigest(image.from)})`
    case 'left':
      return `${image.name}: left alone, ${image.reason}`
    case 'failed':
      return `${image.name}: failed: ${printable(image.reason)}`
  }
}
