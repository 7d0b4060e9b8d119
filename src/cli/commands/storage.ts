import type { Command } from 'commander'
import type { StorageReport } from '../../operations/integrity/storage.ts'
import { formatSize } from '../output/size.ts'
import { formatTable } from '../output/table.ts'
import { perform, resultCommand, type Session } from '../session.ts'

export function storageCommand(session: Session): Command {
  return resultCommand('storage', {
    summary: 'show what images and containers take on the disk, what they share, and what can be freed',
    examples: ['forerun storage', 'forerun storage --json'],
  }).action(() =>
    perform(
      session,
      async (context) => {
        const operation = await import('../../operations/integrity/storage.ts')
        return operation.storage(context)
      },
      describe,
    ),
  )
}

const headings = ['', 'NAME', 'USED', 'SHARED', 'RECLAIMABLE', 'CONTAINERS']

function describe({ total, reclaimable, images, containers, leftover }: StorageReport): string {
  const ofImages = images.map((image) => [
    'image',
    image.image === '<none>' ? image.id.slice(7, 19) : image.image,
    formatSize(image.used),
    formatSize(image.shared),
    formatSize(image.reclaimable),
    image.containers.join(' '),
  ])
  const ofContainers = containers.map(({ container, used, shared }) => [
    'container',
    container,
    formatSize(used),
    formatSize(shared),
    formatSize(0),
  ])
  const rest = leftover > 0 ? [['leftover', '', formatSize(leftover), formatSize(0), formatSize(leftover)]] : []
  const table = formatTable(headings, [...ofImages, ...ofContainers, ...rest], { heading: true })
  return `${table}\nUsed: ${formatSize(total)}; images prune frees ${formatSize(reclaimable)}`
}
