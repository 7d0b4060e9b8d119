import { ForerunError } from '../../errors.ts'
import { readAtMost } from '../../host/read-at-most.ts'
import { largestText, refuseLargeText } from '../../image/text-limits.ts'
import { openImage, wholeImage } from '../../store/image.ts'
import { objectPath } from '../../store/object.ts'
import { byteString } from '../../tree/entry.ts'
import type { DirectoryNode, FileNode } from '../../tree/node.ts'
import { resolvePath } from '../../tree/resolve.ts'
import type { Context } from '../context.ts'
import { namedImage } from '../lookup/named-image.ts'
import { labelOf } from './images.ts'

export interface ImageHelp {
  readonly image: string
  /** Where the page is in the image; absent when the image names a command in its place. */
  readonly file?: string
  /** The page, as a rule in the language of man pages; or the command, which is not run. */
  readonly text: string
}

/**
 * The help that a stored image carries: the file that its label HELP names, else `/image_help.1`, else `/help.1`. A label
 * that is no path is a command for the host, as Project Atomic's tool had it.
 *
 * @throws ForerunError `image-not-found`, also when it has none; `store`; `limit`
 */
export function imageHelp(words: string, context: Context): ImageHelp {
  const { store } = context.paths
  const { record, name } = namedImage(words, context)
  const image = name ?? record.names[0] ?? record.id
  const label = labelOf(openImage(store, record).configuration.config.labels, 'help')?.trim()
  if (label !== undefined && label !== '' && !/^\/\S*$/.test(label)) return { image, text: label }
  const tree = wholeImage(store, record)?.tree
  if (tree === undefined) {
    throw new ForerunError('store', `the store has lost a part of '${image}'`, {
      hint: `Pull the image again: forerun pull ${image}`,
    })
  }
  const files = label ? [label] : ['/image_help.1', '/help.1']
  const file = files.find((path) => page(tree, path) !== undefined)
  const node = file === undefined ? undefined : page(tree, file)
  if (file === undefined || node === undefined) {
    throw new ForerunError('image-not-found', `the image '${image}' carries no help (${files.join(', ')})`, {
      hint: `See what else it says of itself: forerun images info ${image}`,
    })
  }
  refuseLargeText(file, node.size)
  return { image, file, text: readAtMost(objectPath(store, node.object), largestText).toString('utf8') }
}

function page(tree: DirectoryNode, path: string): FileNode | undefined {
  const node = resolvePath(tree, byteString(path))
  return node?.kind === 'file' ? node : undefined
}
